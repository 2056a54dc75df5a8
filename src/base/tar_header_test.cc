// Tests of tar headers, against tar.
#include "base/tar_header.h"

#include <gtest/gtest.h>

#include <string>

#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

std::string text_of(const TarHeader& header) {
  return {reinterpret_cast<const char*>(header.data()), header.size()};
}

std::string list(const std::string& tar) {
  const testing::TempDir dir;
  testing::write_file(dir / "a.tar", tar + std::string(kTarEnd, '\0'));
  return testing::run(
             {.argv = {"tar", "--numeric-owner", "--utc", "-tvf", (dir / "a.tar").string()}})
      .out;
}

TEST(TarHeader, TarListsWrittenHeaders) {
  const std::string content(700, 'x');
  const std::string tar = text_of(make_tar_header("blobs/", 0)) +
                          text_of(make_tar_header("blobs/a", content.size())) + content +
                          std::string(tar_padding(content.size()), '\0');
  EXPECT_EQ(list(tar),
            "drwxr-xr-x 0/0               0 1970-01-01 00:00 blobs/\n"
            "-rw-r--r-- 0/0             700 1970-01-01 00:00 blobs/a\n");
}

TEST(TarHeader, TarReadsSizesOf8GiBAndMore) {
  for (const std::uint64_t size :
       {(std::uint64_t{1} << 33) - 1, std::uint64_t{1} << 33, (std::uint64_t{1} << 40) + 7}) {
    // The content is missing; tar says what it read of the header before it says that.
    EXPECT_NE(list(text_of(make_tar_header("large", size))).find(std::to_string(size)),
              std::string::npos)
        << size;
  }
}

TEST(TarHeader, ParsesWrittenHeaders) {
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{700}, (std::uint64_t{1} << 33) - 1, std::uint64_t{1} << 33,
        (std::uint64_t{1} << 40) + 7}) {
    const auto member = parse_tar_header(make_tar_header("blobs/a", size));
    ASSERT_TRUE(member) << size;
    EXPECT_EQ(member->name, "blobs/a");
    EXPECT_EQ(member->size, size);
    EXPECT_EQ(member->type, '0');
  }
  EXPECT_EQ(parse_tar_header(make_tar_header("blobs/", 0))->type, '5');
}

TEST(TarHeader, RejectsWrongChecksum) {
  TarHeader header = make_tar_header("a", 1);
  header[0] = std::byte{'b'};
  EXPECT_FALSE(parse_tar_header(header));
  EXPECT_FALSE(parse_tar_header({}));
}

TEST(TarHeader, AcceptsNameOf100Bytes) {
  const std::string name(100, 'n');
  EXPECT_NE(list(text_of(make_tar_header(name, 0))).find(" " + name + "\n"), std::string::npos);
}

}  // namespace
}  // namespace pyro
