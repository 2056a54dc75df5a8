// How often a file was opened: the sign of life of a process that may not write any.
#pragma once

#include <sys/inotify.h>
#include <unistd.h>

#include <cstddef>
#include <filesystem>

#include "support/file_descriptor.h"
#include "support/temp_dir.h"

namespace pyro::testing {

class FileOpenings {
 public:
  /// Makes the file, which is empty.
  explicit FileOpenings(std::filesystem::path path) : path_(std::move(path)) {
    write_file(path_, "");
    // Equal events in a row count as one.
    ::inotify_add_watch(events_.get(), path_.c_str(), IN_OPEN | IN_CLOSE);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Since it was made.
  [[nodiscard]] std::size_t count() {
    inotify_event event{};
    while (::read(events_.get(), &event, sizeof event) == sizeof event) {
      if ((event.mask & IN_OPEN) != 0) ++count_;
    }
    return count_;
  }

 private:
  std::filesystem::path path_;
  FileDescriptor events_{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)};
  std::size_t count_ = 0;
};

}  // namespace pyro::testing
