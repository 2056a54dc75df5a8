// New content of the cache: written in a staging directory, published in one step.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "store/install_record.h"
#include "store/layout.h"
#include "store/locks.h"
#include "stream/artifacts.h"

namespace pyro {

/// A new directory below staging/, locked against prune. The destructor removes it with its content
/// unless publish() was called.
class StagingDirectory {
 public:
  explicit StagingDirectory(const CacheLayout& layout);
  ~StagingDirectory();
  StagingDirectory(const StagingDirectory&) = delete;
  StagingDirectory& operator=(const StagingDirectory&) = delete;

  [[nodiscard]] int descriptor() const noexcept { return directory_.get(); }
  /// The path of the file `name` in it.
  [[nodiscard]] std::filesystem::path path_of(const std::string& name) const;

  /// Renames it to `destination`, whose parent is open as `parent`; its files must have been
  /// synced. It is durable when this returns. At every instant the old directory or the new one is
  /// there; the old one is removed afterwards, unless it is in use.
  void publish(int parent, const std::filesystem::path& destination);

 private:
  void make();
  [[nodiscard]] bool move_to(int parent, const std::filesystem::path& destination);
  void exchange_with(int parent, const std::filesystem::path& destination);
  void remove_replaced();

  std::filesystem::path staging_path_;
  std::string id_;
  Fd staging_;  // <root>/staging
  Fd locks_;
  Fd directory_;  // <root>/staging/<id>
  std::optional<UseLock> lock_;
  bool published_ = false;
};

/// An install before its commit(), in a staging directory of its own. The destructor removes it
/// unless commit() was called.
class Transaction {
 public:
  /// Creates the folders of the cache as needed.
  Transaction(const CacheLayout& layout, const Environment& environment);
  ~Transaction() = default;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  /// The install directory.
  [[nodiscard]] const std::filesystem::path& destination() const noexcept { return destination_; }

  /// The staging directory.
  [[nodiscard]] int directory() const noexcept { return staging_.descriptor(); }

  /// Creates the files that candidates for artifacts are written to (stream/merged_view.h).
  [[nodiscard]] std::vector<int> open_candidates();

  /// Syncs and renames the chosen candidates, and removes the others.
  /// @throws Error(integrity) for content of another kind (stream/artifacts.h)
  void keep(const std::vector<WrittenArtifact>& artifacts);

  /// Writes the record, and publishes as StagingDirectory does: all other files must have been
  /// synced.
  void commit(const InstallRecord& record);

 private:
  void write_record(const InstallRecord& record) const;

  std::filesystem::path destination_;
  Fd installs_;
  StagingDirectory staging_;
  // Closed before the directory is removed.
  std::vector<Fd> candidates_;
};

}  // namespace pyro
