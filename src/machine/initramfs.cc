// The initramfs of a machine.
#include "machine/initramfs.h"

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "base/cpio.h"

asm(R"(
  .pushsection .rodata
  .balign 64
pyro_guest_program_begin:
  .incbin ")" PYRO_GUEST_PROGRAM R"("
pyro_guest_program_end:
  .popsection
)");

// NOLINTBEGIN(readability-identifier-naming): symbols of the above.
extern "C" const char pyro_guest_program_begin[];
extern "C" const char pyro_guest_program_end[];
// NOLINTEND(readability-identifier-naming)

namespace pyro {
namespace {

constexpr const char* kInitramfsName = "the initramfs";

void append_file(int to, int from) {
  off_t offset = 0;
  struct stat status {};
  if (::fstat(from, &status) != 0) throw system_error("cannot read initrd.img", errno);
  while (offset < status.st_size) {
    const ssize_t sent =
        ::sendfile(to, from, &offset, static_cast<std::size_t>(status.st_size - offset));
    if (sent < 0) throw system_error("cannot read initrd.img", errno);
    if (sent == 0) return;
  }
}

// The kernel unpacks one archive after the other, compressed or not. Each begins at a multiple of
// four, and a later file replaces an earlier one of its name.
void align(int file) {
  const off_t end = ::lseek(file, 0, SEEK_END);
  write_all(file, std::string((4 - end % 4) % 4, '\0'), kInitramfsName);
}

/// The program of src/guest/, which is built into the library.
std::string_view guest_program() noexcept {
  return {pyro_guest_program_begin, pyro_guest_program_end};
}

std::string archive_of_init() {
  constexpr std::uint32_t kDirectory = 0040755;
  constexpr std::uint32_t kProgram = 0100755;
  CpioArchive archive;
  for (const char* const name : {"dev", "proc", "sys"}) archive.add(name, kDirectory);
  archive.add("init", kProgram, guest_program());
  return std::move(archive).finish();
}

}  // namespace

Fd make_initramfs(int initrd) {
  Fd file = make_memory_file(kInitramfsName);
  if (initrd >= 0) append_file(file.get(), initrd);
  align(file.get());
  write_all(file.get(), archive_of_init(), kInitramfsName);
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string_view guest_program_digest() noexcept {
  return
#include PYRO_GUEST_PROGRAM_DIGEST
      ;
}

}  // namespace pyro
