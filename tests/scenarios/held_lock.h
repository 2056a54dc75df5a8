// A lock on a file or directory, held like a running pyro process holds it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace pyro::testing {

class HeldLock {
 public:
  explicit HeldLock(const std::filesystem::path& path, int kind = LOCK_EX)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    EXPECT_EQ(::flock(fd_, kind | LOCK_NB), 0) << path;
  }
  /// The use lock of a directory in a cache.
  static HeldLock of_use(const std::filesystem::path& cache, const std::filesystem::path& directory,
                         int kind = LOCK_SH) {
    struct stat status {};
    EXPECT_EQ(::stat(directory.c_str(), &status), 0) << directory;
    const auto file = cache / "locks" / (std::to_string(status.st_ino) + ".use");
    std::filesystem::create_directories(file.parent_path());
    ::close(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    return HeldLock(file, kind);
  }
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;
  ~HeldLock() { ::close(fd_); }

 private:
  int fd_;
};

}  // namespace pyro::testing
