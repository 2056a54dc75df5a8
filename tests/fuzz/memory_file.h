// A file in memory that has a path, for parsers that read files only.
#pragma once

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/files.h"
#include "oracle.h"

namespace pyro::fuzz {

/// Only its owner can write it: pyro rejects users' files that others can write.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : file_(::memfd_create("input", MFD_CLOEXEC)) {
    require(file_ && ::fchmod(file_.get(), 0600) == 0, "there is memory for a file");
    write_all(file_.get(), content, "a file in memory");
  }

  [[nodiscard]] std::filesystem::path path() const {
    return "/proc/self/fd/" + std::to_string(file_.get());
  }

 private:
  Fd file_;
};

}  // namespace pyro::fuzz
