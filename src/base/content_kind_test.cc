// Tests of file types by content.
#include "base/content_kind.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pyro {
namespace {

std::string name_of(std::string_view head) {
  return std::string(content_name(std::as_bytes(std::span(head))));
}

bool begins(std::string_view head, ContentUse use) {
  return begins_as(std::as_bytes(std::span(head)), use);
}

/// `magic` behind that many zeros, and something behind it.
std::string at(std::size_t offset, std::string_view magic) {
  return std::string(offset, '\0') + std::string(magic) + std::string(100, 'x');
}

struct KindRow {
  const char* name;
  std::string head;
};

TEST(ContentKind, NamesKnownFormats) {
  using namespace std::string_view_literals;
  const std::vector<KindRow> rows = {
      {"gzip data", at(0, "\x1f\x8b\x08")},
      {"zstd data", at(0, "\x28\xb5\x2f\xfd")},
      {"xz data", at(0,
                     "\xfd"
                     "7zXZ\0"sv)},
      {"bzip2 data", at(0, "BZh9")},
      {"a zip archive", at(0, "PK\3\4")},
      {"a 7z archive", at(0, "7z\xbc\xaf\x27\x1c")},
      {"lz4 data", at(0, "\x04\x22\x4d\x18")},
      {"a qcow2 disk image", at(0, "QFI\xfb")},
      {"a Git LFS pointer, not the file that it stands for",
       "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"},
      {"an HTML page", "\xef\xbb\xbf \r\n<!DOCTYPE HTML><html>"},
      {"an HTML page", "<html><body>"},
      {"a JSON document", "{\"critical\": {}}"},
      {"an XML document", "<?xml version=\"1.0\"?><Error/>"},
      {"an ELF file", at(0,
                         "\x7f"
                         "ELF")},
      {"a bzImage kernel", at(510, "\x55\xaa\xeb\x6aHdrS")},
      {"a disk image with a partition table", at(510, "\x55\xaa")},
      {"a tar archive", at(257, "ustar")},
      {"an ext2, ext3 or ext4 file system", at(1080, "\x53\xef")},
      {"an XFS file system", at(0, "XFSB")},
      {"a btrfs file system", at(65600, "_BHRfS_M")},
      {"a squashfs file system", at(0, "hsqs")},
      {"an EROFS file system", at(1024, "\xe2\xe1\xf5\xe0")},
      {"", ""},
      {"", std::string(kContentHead, '\0')},
      {"", "BZ"},
  };
  for (const KindRow& row : rows) EXPECT_EQ(name_of(row.head), row.name);
}

TEST(ContentKind, ClassifiesKernelsFileSystemsAndCompressedData) {
  const std::string elf = at(0,
                             "\x7f"
                             "ELF");
  EXPECT_TRUE(begins(elf, ContentUse::kernel));
  EXPECT_FALSE(begins(elf, ContentUse::file_system));
  EXPECT_TRUE(begins(at(514, "HdrS"), ContentUse::kernel));
  EXPECT_TRUE(begins(at(0, "\x1f\x8b"), ContentUse::compressed));
  EXPECT_FALSE(begins("", ContentUse::file_system));
  // Behind a boot sector.
  const std::string booted =
      at(510, "\x55\xaa").substr(0, 512) + std::string(568, '\0') + "\x53\xef";
  EXPECT_TRUE(begins(booted, ContentUse::file_system));
}

}  // namespace
}  // namespace pyro
