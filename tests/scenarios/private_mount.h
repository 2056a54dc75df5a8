// Mounts for tests that need another or a read-only file system.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

namespace pyro::testing {

/// A mount for this thread and the processes it starts. Unmounted by the destructor.
class PrivateMount {
 public:
  /// Null when this user may not mount, or the kernel cannot.
  static std::unique_ptr<PrivateMount> tmpfs(const std::filesystem::path& directory,
                                             const std::string& options);
  /// The file system in a file, by a loop device that goes with the mount.
  static std::unique_ptr<PrivateMount> image(const std::filesystem::path& file,
                                             const std::filesystem::path& directory,
                                             const std::string& type);
  /// The existing content, read-only.
  static std::unique_ptr<PrivateMount> read_only(const std::filesystem::path& directory);

  PrivateMount(const PrivateMount&) = delete;
  PrivateMount& operator=(const PrivateMount&) = delete;
  ~PrivateMount();

 private:
  explicit PrivateMount(std::filesystem::path directory) : directory_(std::move(directory)) {}

  std::filesystem::path directory_;
  std::filesystem::path device_;  // of an image
};

}  // namespace pyro::testing
