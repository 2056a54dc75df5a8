#include "base/regular_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLimit = std::size_t{1} << 20;

class RegularFileTest : public ::testing::Test {
 protected:
  RegularFileTest() {
    char name[] = "/tmp/pyro-regular-file-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name));
  }
  ~RegularFileTest() override { fs::remove_all(root_); }

  fs::path write(const std::string& content) const {
    std::ofstream(root_ / "file") << content;
    return root_ / "file";
  }

  static std::string error_of(const fs::path& file) {
    try {
      static_cast<void>(read_regular_file(file, kLimit));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      return error.what();
    }
    return "no error";
  }

  fs::path root_;
};

TEST_F(RegularFileTest, IsReadAsAWholeThroughLinks) {
  for (const std::string& content :
       {std::string(), std::string("text"), std::string(kLimit, 'x')}) {
    const fs::path file = write(content);
    EXPECT_EQ(read_regular_file(file, kLimit)->content, content);
    fs::remove(root_ / "link");
    fs::create_symlink(file, root_ / "link");
    EXPECT_EQ(read_regular_file(root_ / "link", kLimit)->content, content);
  }
  fs::permissions(root_ / "file", fs::perms(0640));
  EXPECT_EQ(read_regular_file(root_ / "file", kLimit)->status.st_mode & 07777U, 0640U);
}

TEST_F(RegularFileTest, HasNoSizeWhereTheKernelMakesItUp) {
  EXPECT_NE(read_regular_file("/proc/self/status", kLimit)->content.find("Name:"),
            std::string::npos);
}

TEST_F(RegularFileTest, NothingWhereThereIsNone) {
  EXPECT_FALSE(read_regular_file(root_ / "none", kLimit));
  EXPECT_FALSE(read_regular_file(write("") / "below a file", kLimit));
}

TEST_F(RegularFileTest, SaysWhyItIsNone) {
  EXPECT_EQ(error_of(write(std::string(kLimit + 1, 'x'))), "it is larger than 1 MiB");
  const fs::path pipe = root_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {pipe, root_, fs::path("/dev/zero")}) {
    EXPECT_EQ(error_of(path), "it is not a regular file");
  }
}

}  // namespace
}  // namespace pyro
