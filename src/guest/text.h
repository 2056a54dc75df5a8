// Text files of the kernel and of the image: reading and splitting them.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <string_view>

#include "guest/descriptor.h"

namespace pyro::guest {

/// The whole content; empty for a file that cannot be read. Does not wait: the image may have a
/// FIFO in place of the file.
inline std::string read_file(const std::string& path) {
  std::string content;
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  char piece[16 << 10];
  for (long got = 0; (got = ::read(file.get(), piece, sizeof piece)) > 0;) {
    content.append(piece, static_cast<std::size_t>(got));
  }
  return content;
}

/// Of a file of the kernel. A failure is ignored.
inline void write_setting(const std::string& path, std::string_view value) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  static_cast<void>(!::write(file.get(), value.data(), value.size()));
}

/// The next piece of `text` up to `separator`, which is taken off.
inline std::string_view take_up_to(std::string_view& text, char separator) {
  const std::size_t end = text.find(separator);
  const std::string_view piece = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return piece;
}

}  // namespace pyro::guest
