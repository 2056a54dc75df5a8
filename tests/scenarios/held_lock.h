// A lock on a file or directory, as a process holds it that works there.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

namespace pyro::testing {

class HeldLock {
 public:
  explicit HeldLock(const std::filesystem::path& path, int kind = LOCK_EX)
      : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    EXPECT_EQ(::flock(fd_, kind | LOCK_NB), 0) << path;
  }
  HeldLock(const HeldLock&) = delete;
  HeldLock& operator=(const HeldLock&) = delete;
  ~HeldLock() { ::close(fd_); }

 private:
  int fd_;
};

}  // namespace pyro::testing
