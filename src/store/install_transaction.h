// An install in the making: staged, made durable, published in one step (spec section 7).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "store/install_record.h"
#include "store/layout.h"
#include "store/staging_directory.h"
#include "stream/artifacts.h"

namespace pyro {

/// Works in a staging directory of its own. Without commit() that goes again, and with it all that
/// was written.
///
/// At every instant the install directory holds the old install or the new one, complete.
class InstallTransaction {
 public:
  /// Makes the cache's folders as needed.
  InstallTransaction(const CacheLayout& layout, const Environment& environment);
  ~InstallTransaction() = default;
  InstallTransaction(const InstallTransaction&) = delete;
  InstallTransaction& operator=(const InstallTransaction&) = delete;

  /// Where the install will stand.
  [[nodiscard]] const std::filesystem::path& destination() const noexcept { return destination_; }

  /// The staging directory.
  [[nodiscard]] int directory() const noexcept { return staging_.descriptor(); }

  /// Opens the files that candidates for artifacts are written to (stream/merged_view.h).
  [[nodiscard]] std::vector<int> open_candidates();

  /// Makes the chosen candidates durable, gives them their names, and removes the others.
  /// @throws Error(integrity) for one that is not what its name says (stream/artifact_content.h)
  void keep(const std::vector<WrittenArtifact>& artifacts);

  /// Writes the record and publishes; what else is in the directory must be durable. Returning
  /// means that it stands on disk. An install that was there before is removed afterwards, unless
  /// somebody uses it.
  void commit(const InstallRecord& record);

 private:
  void write_record(const InstallRecord& record) const;

  std::filesystem::path destination_;
  Fd platform_;
  StagingDirectory staging_;
  // Closed before the directory is removed.
  std::vector<Fd> candidates_;
};

}  // namespace pyro
