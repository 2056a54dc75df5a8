// Tests of the archives that kernels unpack.
#include "base/cpio.h"

#include <gtest/gtest.h>

#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

constexpr std::size_t kHeader = 110;

/// The number in one of a header's fields: 0 is the inode, 1 the mode, 6 the size, 11 the name's.
unsigned long field(const std::string& archive, std::size_t at, std::size_t number) {
  return std::stoul(archive.substr(at + 6 + 8 * number, 8), nullptr, 16);
}

TEST(CpioTest, HeaderHasModeSizeAndNameLength) {
  CpioArchive archive;
  archive.add("init", 0100755, "abc");
  const std::string bytes = std::move(archive).finish();
  EXPECT_EQ(bytes.substr(0, 6), "070701");
  EXPECT_EQ(field(bytes, 0, 1), 0100755u);
  EXPECT_EQ(field(bytes, 0, 6), 3u);
  EXPECT_EQ(field(bytes, 0, 11), 5u);
  EXPECT_EQ(bytes.substr(kHeader, 5), std::string("init\0", 5));
}

TEST(CpioTest, PadsNamesAndContentsToFourBytes) {
  for (std::size_t name = 1; name <= 5; ++name) {
    for (std::size_t size = 0; size <= 5; ++size) {
      CpioArchive archive;
      archive.add(std::string(name, 'n'), 0100644, std::string(size, 'c'));
      const std::string bytes = std::move(archive).finish();
      const std::size_t content = (kHeader + name + 1 + 3) / 4 * 4;
      const std::size_t next = (content + size + 3) / 4 * 4;
      EXPECT_EQ(bytes.substr(content, size), std::string(size, 'c')) << name << ' ' << size;
      EXPECT_EQ(bytes.substr(next, 6), "070701") << name << ' ' << size;
      EXPECT_EQ(bytes.substr(next + kHeader, 10), "TRAILER!!!") << name << ' ' << size;
      EXPECT_EQ(bytes.size() % 4, 0u);
    }
  }
}

TEST(CpioTest, GivesEachFileItsOwnInode) {
  CpioArchive archive;
  archive.add("a", 040755);
  archive.add("b", 040755);
  const std::string bytes = std::move(archive).finish();
  EXPECT_NE(field(bytes, 0, 0), field(bytes, kHeader + 2, 0)) << "they would be hard links";
}

TEST(CpioTest, BsdtarReadsArchive) {
  const testing::TempDir dir;
  CpioArchive archive;
  archive.add("dev", 040755);
  archive.add("init", 0100755, "#!/bin/true\n");
  testing::write_file(dir / "archive", std::move(archive).finish());
  const auto listed = testing::run(
      {.argv = {"bsdtar", "-tvf", (dir / "archive").string()}, .env = {{"TZ", "UTC"}}});
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  EXPECT_NE(listed.out.find("drwxr-xr-x"), std::string::npos) << listed.out;
  EXPECT_NE(listed.out.find("-rwxr-xr-x"), std::string::npos) << listed.out;
  const auto content =
      testing::run({.argv = {"bsdtar", "-xOf", (dir / "archive").string(), "init"}});
  EXPECT_EQ(content.out, "#!/bin/true\n");
}

}  // namespace
}  // namespace pyro
