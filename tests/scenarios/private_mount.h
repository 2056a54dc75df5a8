// Mounts for tests that need another file system, or one that refuses to be written.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace pyro::testing {

/// A mount that nobody but this thread and the processes it starts can see, as long as it lives.
class PrivateMount {
 public:
  /// Null when this user may not mount, or the kernel cannot.
  static std::unique_ptr<PrivateMount> tmpfs(const std::filesystem::path& directory,
                                             const std::string& options);
  /// What is there already, read-only.
  static std::unique_ptr<PrivateMount> read_only(const std::filesystem::path& directory);

  PrivateMount(const PrivateMount&) = delete;
  PrivateMount& operator=(const PrivateMount&) = delete;
  ~PrivateMount();

 private:
  explicit PrivateMount(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path directory_;
};

}  // namespace pyro::testing
