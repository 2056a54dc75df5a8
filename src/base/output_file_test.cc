// A file is there when it is complete, and nothing else ever is.
#include "base/output_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "pyro/error.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::size_t count(const fs::path& directory) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(directory), fs::directory_iterator()));
}

class OutputFileTest : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  const fs::path path_ = dir_ / "out/file.tar";
  OutputFileTest() { fs::create_directory(path_.parent_path()); }
};

TEST_F(OutputFileTest, IsThereWithCommit) {
  {
    OutputFile file(path_);
    file.write(bytes("world and more"), 6);
    file.write(bytes("hello "), 0);
    EXPECT_FALSE(fs::exists(path_));
    file.commit(11);
  }
  EXPECT_EQ(testing::read_file(path_), "hello world");
  EXPECT_EQ(count(path_.parent_path()), 1U);
}

TEST_F(OutputFileTest, IsGoneWithoutAndWhatWasThereStays) {
  testing::write_file(path_, "old");
  { OutputFile(path_).write(bytes("new"), 0); }
  EXPECT_EQ(testing::read_file(path_), "old");
  EXPECT_EQ(count(path_.parent_path()), 1U);
  {
    OutputFile file(path_);
    file.write(bytes("new"), 0);
    file.commit(3);
  }
  EXPECT_EQ(testing::read_file(path_), "new");
}

TEST_F(OutputFileTest, ReplacesNothingButFiles) {
  fs::create_directory(dir_ / "folder");
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  for (const char* name : {"folder", "pipe", "folder/"}) {
    EXPECT_THROW(OutputFile(dir_ / name), Error) << name;
  }
  EXPECT_EQ(count(dir_.path()), 3U);
}

TEST_F(OutputFileTest, NamesTheFileThatCannotBeWritten) {
  try {
    OutputFile(dir_ / "missing/file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
    EXPECT_EQ(error.message(), "cannot write " + (dir_ / "missing/file").string());
  }
}

TEST_F(OutputFileTest, AFullDiskIsToldAndLeavesNothing) {
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 4096;
  ::setrlimit(RLIMIT_FSIZE, &small);
  try {
    OutputFile(path_).write(bytes(std::string(10'000, 'x')), 0);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
    EXPECT_EQ(error.hint(), "free some space, or write it elsewhere");
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(count(path_.parent_path()), 0U);
}

}  // namespace
}  // namespace pyro
