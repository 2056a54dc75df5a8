// System calls that do all of what they are asked for.
#include "base/whole_calls.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/files.h"

namespace pyro {

int try_open(int directory, const char* name, int flags, mode_t mode) noexcept {
  return uninterrupted([&] { return ::openat(directory, name, flags | O_CLOEXEC, mode); });
}

bool set_size(int fd, std::uint64_t size) noexcept {
  return uninterrupted([&] { return ::ftruncate(fd, static_cast<off_t>(size)); }) == 0;
}

void pread_all(int fd, std::span<std::byte> bytes, std::uint64_t offset,
               const std::string& subject) {
  if (pread_full(fd, bytes, offset, subject) == bytes.size()) return;
  throw Error(ErrorCode::filesystem, subject + " changes while it is read");
}

}  // namespace pyro
