// Tests of files by descriptor.
#include "base/files.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <array>
#include <fstream>

#include "pyro/error.h"

namespace pyro {
namespace {

TEST(FileCalls, RetriesInterruptedCall) {
  int calls = 0;
  const int result = uninterrupted([&] {
    errno = EINTR;
    return ++calls < 3 ? -1 : 7;
  });
  EXPECT_EQ(result, 7);
  EXPECT_EQ(calls, 3);
}

TEST(FileCalls, DoesNotRetryFailedCall) {
  int calls = 0;
  const int result = uninterrupted([&] {
    ++calls;
    errno = EIO;
    return -1;
  });
  EXPECT_EQ(result, -1);
  EXPECT_EQ(calls, 1);
}

TEST(FileCalls, SetSizeGrowsFileAndReportsBadDescriptor) {
  const Fd file = make_memory_file("a file");
  ASSERT_TRUE(set_size(file.get(), 5000));
  struct stat status {};
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  EXPECT_EQ(status.st_size, 5000);
  EXPECT_FALSE(set_size(-1, 0));
  EXPECT_EQ(errno, EBADF);
}

TEST(FileCalls, RejectsReadBeyondEndOfFile) {
  const Fd file = make_memory_file("a file");
  write_all(file.get(), "content", "a file");
  std::array<char, 4> bytes{};
  pread_all(file.get(), std::as_writable_bytes(std::span(bytes)), 3, "a file");
  EXPECT_EQ(std::string_view(bytes.data(), bytes.size()), "tent");
  try {
    pread_all(file.get(), std::as_writable_bytes(std::span(bytes)), 4, "a file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
    EXPECT_EQ(error.message(), "a file changes while it is read");
  }
}

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

TEST_F(RegularFileTest, ReadsWholeFileAndFollowsLinks) {
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

TEST_F(RegularFileTest, ReadsProcFilesWithoutSize) {
  EXPECT_NE(read_regular_file("/proc/self/status", kLimit)->content.find("Name:"),
            std::string::npos);
}

TEST_F(RegularFileTest, ReturnsNothingForMissingFile) {
  EXPECT_FALSE(read_regular_file(root_ / "none", kLimit));
  EXPECT_FALSE(read_regular_file(write("") / "below a file", kLimit));
}

TEST_F(RegularFileTest, RejectsLargeFilesPipesDirectoriesAndDevices) {
  EXPECT_EQ(error_of(write(std::string(kLimit + 1, 'x'))), "it is larger than 1 MiB");
  const fs::path pipe = root_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {pipe, root_, fs::path("/dev/zero")}) {
    EXPECT_EQ(error_of(path), "it is not a regular file");
  }
}

TEST(FileTrust, JudgesSecretsByOwnerAndMode) {
  const struct {
    mode_t mode;
    uid_t owner;
    uid_t user;
    bool believed;
    const char* remark;
  } cases[] = {
      {0600, 1000, 1000, true, ""},
      {0400, 0, 1000, true, ""},
      {0644, 1000, 1000, true, "others may read it"},
      {0640, 1000, 1000, true, "others may read it"},
      {0620, 1000, 1000, true, "its group may write it"},
      {0664, 1000, 1000, true, "its group may write it"},
      {0602, 1000, 1000, false, "everybody may write it"},
      {0666, 0, 0, false, "everybody may write it"},
      {0600, 1001, 1000, false, "it belongs to user 1001"},
      {0600, 1001, 0, true, "it belongs to user 1001"},
  };
  for (const auto& c : cases) {
    const FileTrust trust = judge_file(c.mode, c.owner, c.user, Holds::secrets);
    EXPECT_EQ(trust.believed, c.believed) << c.mode << " " << c.owner;
    EXPECT_EQ(trust.remark, c.remark) << c.mode << " " << c.owner;
    EXPECT_EQ(trust.remedy.empty(), trust.remark.empty());
  }
}

TEST(FileTrust, AcceptsReadableSettingsAndRejectsWritableOnes) {
  EXPECT_EQ(judge_file(0644, 1000, 1000, Holds::settings).remark, "");
  EXPECT_FALSE(judge_file(0646, 1000, 1000, Holds::settings).believed);
  EXPECT_FALSE(judge_file(0644, 1001, 1000, Holds::settings).believed);
}

}  // namespace
}  // namespace pyro
