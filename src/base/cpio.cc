// Archives that the kernel unpacks into its first root file system.
#include "base/cpio.h"

#include <fmt/format.h>

#include <iterator>
#include <utility>

namespace pyro {
namespace {

void pad(std::string& bytes) {
  bytes.append((4 - bytes.size() % 4) % 4, '\0');
}

}  // namespace

void CpioArchive::add(std::string_view name, std::uint32_t mode, std::string_view content) {
  constexpr int kLinks = 1;
  fmt::format_to(std::back_inserter(bytes_),
                 "070701{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}"
                 "{:08X}",
                 ++inode_, mode, 0, 0, kLinks, 0, content.size(), 0, 0, 0, 0, name.size() + 1, 0);
  bytes_ += name;
  bytes_ += '\0';
  pad(bytes_);
  bytes_ += content;
  pad(bytes_);
}

std::string CpioArchive::finish() && {
  add("TRAILER!!!", 0);
  return std::move(bytes_);
}

}  // namespace pyro
