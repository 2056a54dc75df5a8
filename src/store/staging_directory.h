// A directory in the making: locked, published in one step or removed again (spec section 7).
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/files.h"
#include "store/layout.h"
#include "store/use_lock.h"

namespace pyro {

/// Locked until it is published, so that no prune takes it for litter. Without publish() it goes
/// again, and with it all that was written.
class StagingDirectory {
 public:
  explicit StagingDirectory(const CacheLayout& layout);
  ~StagingDirectory();
  StagingDirectory(const StagingDirectory&) = delete;
  StagingDirectory& operator=(const StagingDirectory&) = delete;

  [[nodiscard]] int descriptor() const noexcept { return directory_.get(); }
  /// Of `name` in it.
  [[nodiscard]] std::filesystem::path path_of(const std::string& name) const;

  /// Makes it the directory `destination`, whose parent is open as `parent`; what is in it must be
  /// durable. What was there before is removed afterwards, unless somebody uses it. Returning means
  /// that the new one stands on disk; at every instant one of the two is there.
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

}  // namespace pyro
