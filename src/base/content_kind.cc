// The kind of a file by its content.
#include "base/content_kind.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace pyro {
namespace {

struct Kind {
  std::string_view name;
  ContentUse use;
  std::size_t offset;
  std::string_view magic;
};

using enum ContentUse;
using namespace std::string_view_literals;

/// The first matching row counts, so long magics and those near the beginning come first.
/// Sources: RFC 1952, RFC 8878, the formats' own documents, include/uapi/linux/magic.h,
/// Documentation/arch/x86/boot.rst.
constexpr std::array kKinds = {
    Kind{"gzip data", compressed, 0, "\x1f\x8b"sv},
    Kind{"zstd data", compressed, 0, "\x28\xb5\x2f\xfd"sv},
    Kind{"xz data", compressed, 0, "\xfd\x37zXZ\0"sv},
    Kind{"bzip2 data", compressed, 0, "BZh"sv},
    Kind{"an ELF file", kernel, 0, "\x7f\x45LF"sv},
    Kind{"a bzImage kernel", kernel, 514, "HdrS"sv},
    Kind{"a zip archive", none, 0, "PK\3\4"sv},
    Kind{"an empty zip archive", none, 0, "PK\5\6"sv},
    Kind{"a 7z archive", none, 0, "7z\xbc\xaf\x27\x1c"sv},
    Kind{"a rar archive", none, 0, "Rar!\x1a\7"sv},
    Kind{"a cpio archive", none, 0, "07070"sv},
    Kind{"an ar archive (a Debian package?)", none, 0, "!<arch>\n"sv},
    Kind{"an RPM package", none, 0, "\xed\xab\xee\xdb"sv},
    Kind{"lz4 data", none, 0, "\x04\x22\x4d\x18"sv},
    Kind{"lz4 data of the legacy format", none, 0, "\x02\x21\x4c\x18"sv},
    Kind{"lzip data", none, 0, "LZIP\1"sv},
    Kind{"lzop data", none, 0, "\x89LZO\0"sv},
    Kind{"lzma data", none, 0, "\x5d\0\0"sv},
    Kind{"data of compress(1)", none, 0, "\x1f\x9d"sv},
    Kind{"a qcow2 disk image", none, 0, "QFI\xfb"sv},
    Kind{"a VMDK disk image", none, 0, "KDMV"sv},
    Kind{"a VHDX disk image", none, 0, "vhdxfile"sv},
    Kind{"a VHD disk image", none, 0, "conectix"sv},
    Kind{"an Android sparse image", none, 0, "\x3a\xff\x26\xed"sv},
    Kind{"a Git LFS pointer, not the file that it stands for", none, 0,
         "version https://git-lfs.github.com/spec/"sv},
    Kind{"an XML document", none, 0, "<?xml"sv},
    Kind{"a squashfs file system", file_system, 0, "hsqs"sv},
    Kind{"an XFS file system", file_system, 0, "XFSB"sv},
    Kind{"a romfs file system", file_system, 0, "-rom1fs-"sv},
    Kind{"a cramfs file system", file_system, 0, "\x45\x3d\xcd\x28"sv},
    Kind{"a bcachefs file system", file_system, 4096 + 24,
         "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"sv},
    Kind{"a btrfs file system", file_system, 65536 + 64, "_BHRfS_M"sv},
    Kind{"an ISO 9660 file system", file_system, 32768 + 1, "CD001"sv},
    Kind{"a ReiserFS file system", file_system, 65536 + 52, "ReIsEr"sv},
    Kind{"a JFS file system", file_system, 32768, "JFS1"sv},
    Kind{"an EROFS file system", file_system, 1024, "\xe2\xe1\xf5\xe0"sv},
    Kind{"an F2FS file system", file_system, 1024, "\x10\x20\xf5\xf2"sv},
    Kind{"a tar archive", tar, 257, "ustar"sv},
    Kind{"a disk image with a partition table", none, 512, "EFI PART"sv},
    Kind{"an ext2, ext3 or ext4 file system", file_system, 1024 + 56, "\x53\xef"sv},
    Kind{"a NILFS2 file system", file_system, 1024 + 6, "\x34\x34"sv},
    Kind{"a disk image with a partition table", none, 510, "\x55\xaa"sv},
};

bool matches(std::string_view head, const Kind& kind) {
  return head.size() >= kind.offset && head.substr(kind.offset).starts_with(kind.magic);
}

/// Text may begin with a byte order mark and blanks; elements have no case.
std::string_view document_name(std::string_view head) {
  if (head.starts_with("\xef\xbb\xbf")) head.remove_prefix(3);
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  for (const std::string_view start : {"<!doctype html"sv, "<html"sv}) {
    if (to_lower(head.substr(0, start.size())) == start) return "an HTML page";
  }
  return head.starts_with("{\"") || head.starts_with("{\n") ? "a JSON document" : "";
}

std::string_view text_of(std::span<const std::byte> head) {
  return {reinterpret_cast<const char*>(head.data()), head.size()};
}

}  // namespace

std::string_view content_name(std::span<const std::byte> head) noexcept {
  const std::string_view text = text_of(head);
  const auto kind = std::ranges::find_if(kKinds, [&](const Kind& k) { return matches(text, k); });
  return kind != kKinds.end() ? kind->name : document_name(text);
}

bool begins_as(std::span<const std::byte> head, ContentUse use) noexcept {
  return std::ranges::any_of(
      kKinds, [&](const Kind& kind) { return kind.use == use && matches(text_of(head), kind); });
}

}  // namespace pyro
