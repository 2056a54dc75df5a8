// What a file is that is named as the source of an environment.
#include "source/archive_kind.h"

#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/content_kind.h"
#include "base/files.h"
#include "base/tar_header.h"
#include "oci/layout_files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using Head = std::vector<std::byte>;

Head head_of(int file, const std::string& path) {
  Head head(kContentHead);
  head.resize(pread_full(file, head, 0, path));
  return head;
}

/// The first header's checksum says so; not all writers of tars leave a magic number.
bool is_tar(const Head& head) {
  if (begins_as(head, ContentUse::tar)) return true;
  if (head.size() < kTarBlock) return false;
  TarHeader header;
  std::ranges::copy_n(head.begin(), kTarBlock, header.begin());
  return parse_tar_header(header).has_value();
}

std::string what_to_do(const Head& head) {
  if (begins_as(head, ContentUse::file_system)) {
    return "put it into a directory as rootfs.ext4, its kernel beside it as vmlinux, and add the "
           "directory";
  }
  if (begins_as(head, ContentUse::kernel)) {
    return "put it into a directory as vmlinux, its root file system beside it as rootfs.ext4, and "
           "add the directory";
  }
  return "an environment is a tar, compressed with gzip, zstd, xz or bzip2 or not, or a directory, "
         "with vmlinux and rootfs.ext4 in it";
}

[[noreturn]] void refuse(const std::string& path, const Head& head) {
  const std::string found(content_name(head));
  throw Error(ErrorCode::integrity,
              path + (head.empty()    ? " is empty"
                      : found.empty() ? " is not an archive"
                                      : " is not an archive, it is " + found),
              what_to_do(head));
}

}  // namespace

ArchiveKind archive_kind(const std::filesystem::path& path) {
  const Fd file = open_at(AT_FDCWD, path.string(), O_RDONLY | O_NONBLOCK, 0, path);
  const Head head = head_of(file.get(), path.string());
  if (!is_tar(head)) {
    if (begins_as(head, ContentUse::compressed)) return ArchiveKind::packed;
    refuse(path.string(), head);
  }
  try {
    const std::string_view transport = transport_in(TarIndex(file.get(), path), file.get());
    if (transport.empty()) return ArchiveKind::artifacts;
    return transport == kDockerArchive ? ArchiveKind::docker : ArchiveKind::layout;
  } catch (const Error& error) {
    // A layout is plainer than a tar may be.
    if (error.code() != ErrorCode::integrity) throw;
    return ArchiveKind::artifacts;
  }
}

}  // namespace pyro
