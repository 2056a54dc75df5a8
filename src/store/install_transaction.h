// An install in the making: staged, made durable, published in one step (spec section 7).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "store/install_record.h"
#include "store/layout.h"
#include "stream/artifacts.h"

namespace pyro {

/// A staging directory of its own, locked while this lives so that no prune takes it for litter.
/// Without commit() it goes again, and with it all that was written.
///
/// At every instant the install directory holds the old install or the new one, complete.
class InstallTransaction {
 public:
  /// Makes the cache's folders as needed.
  InstallTransaction(const CacheLayout& layout, const Environment& environment);
  ~InstallTransaction();
  InstallTransaction(const InstallTransaction&) = delete;
  InstallTransaction& operator=(const InstallTransaction&) = delete;

  /// Where the install will stand.
  [[nodiscard]] const std::filesystem::path& destination() const noexcept { return destination_; }

  /// The staging directory.
  [[nodiscard]] int directory() const noexcept { return directory_.get(); }

  /// Opens the files that candidates for artifacts are written to (stream/merged_view.h).
  [[nodiscard]] std::vector<int> open_candidates();

  /// Makes the chosen candidates durable, gives them their names, and removes the others.
  void keep(const std::vector<WrittenArtifact>& artifacts);

  /// Writes the record and publishes; what else is in the directory must be durable. Returning
  /// means that it stands on disk. An install that was there before is removed afterwards, unless
  /// somebody uses it.
  void commit(const InstallRecord& record);

 private:
  void make_staging_directory();
  void write_record(const InstallRecord& record) const;
  /// Whether an install was there before.
  [[nodiscard]] bool publish();
  void exchange(const std::string& name);
  void remove_replaced();

  std::filesystem::path destination_;
  std::filesystem::path staging_path_;
  std::string id_;  // the name of the staging directory
  Fd platform_;
  Fd staging_;    // <root>/staging
  Fd directory_;  // <root>/staging/<id>, locked
  std::vector<Fd> candidates_;
  bool published_ = false;
};

}  // namespace pyro
