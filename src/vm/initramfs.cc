// What a machine boots into.
#include "vm/initramfs.h"

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "vm/cpio.h"
#include "vm/guest_program.h"

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

// The kernel takes archives one after the other, compressed or not, each beginning at a multiple of
// four; of two files with one name the later counts.
void align(int file) {
  const off_t end = ::lseek(file, 0, SEEK_END);
  write_all(file, std::string((4 - end % 4) % 4, '\0'), kInitramfsName);
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

}  // namespace pyro
