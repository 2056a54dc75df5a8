// System calls that do all of what they are asked for, whatever signals break into them.
#pragma once

#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace pyro {

/// What `call` returns: a system call that is made again for as long as a signal breaks into it.
template <typename Call>
auto uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// openat(2) with O_CLOEXEC; -1 with errno set where it fails.
[[nodiscard]] int try_open(int directory, const char* name, int flags, mode_t mode = 0) noexcept;

/// ftruncate(2); errno is set where it fails.
[[nodiscard]] bool set_size(int fd, std::uint64_t size) noexcept;

/// Reads all of `bytes`.
/// @throws Error(filesystem) also where the file ends before, as it became shorter meanwhile.
void pread_all(int fd, std::span<std::byte> bytes, std::uint64_t offset,
               const std::string& subject);

}  // namespace pyro
