// Tests of files that are written whole or not at all.
#include "base/output_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/directories.h"
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

TEST_F(OutputFileTest, AppearsOnlyAfterCommit) {
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

TEST_F(OutputFileTest, KeepsOldFileWithoutCommit) {
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

TEST_F(OutputFileTest, RejectsFoldersAndPipes) {
  fs::create_directory(dir_ / "folder");
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  for (const char* name : {"folder", "pipe", "folder/"}) {
    EXPECT_THROW(OutputFile(dir_ / name), Error) << name;
  }
  EXPECT_EQ(count(dir_.path()), 3U);
}

TEST_F(OutputFileTest, ErrorNamesFileThatCannotBeWritten) {
  try {
    OutputFile(dir_ / "missing/file");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
    EXPECT_EQ(error.message(), "cannot write " + (dir_ / "missing/file").string());
  }
}

TEST_F(OutputFileTest, FailedWriteLeavesNoFileAndAdvisesFreeingSpace) {
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

namespace fs = std::filesystem;

class ReplaceFileTest : public ::testing::Test {
 protected:
  ReplaceFileTest() {
    char name[] = "/tmp/pyro-replace-XXXXXX";
    directory_ = ::mkdtemp(name);
  }
  ~ReplaceFileTest() override { fs::remove_all(directory_); }

  [[nodiscard]] static std::string content(const fs::path& file) {
    std::ostringstream text;
    text << std::ifstream(file).rdbuf();
    return text.str();
  }

  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }

  fs::path directory_;
};

TEST_F(ReplaceFileTest, CreatesFileAndReplacesItForNewReaders) {
  const fs::path file = directory_ / "f";
  replace_file(file, "old", 0644);
  EXPECT_EQ(content(file), "old");
  EXPECT_EQ(fs::status(file).permissions(), fs::perms(0644));
  struct stat before {};
  ASSERT_EQ(::stat(file.c_str(), &before), 0);
  const std::ifstream reader(file);
  replace_file(file, "new", 0600);
  EXPECT_EQ(content(file), "new");
  EXPECT_EQ(fs::status(file).permissions(), fs::perms(0600));
  std::ostringstream kept;
  kept << reader.rdbuf();
  EXPECT_EQ(kept.str(), "old") << "who reads it keeps what he opened";
  EXPECT_EQ(files(), 1U);
}

TEST_F(ReplaceFileTest, RejectsPipe) {
  const fs::path pipe = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(replace_file(pipe, "x", 0644), Error);
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(files(), 1U);
}

TEST_F(ReplaceFileTest, KilledProcessLeavesNoFile) {
  if (!Fd(::open(directory_.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600))) {
    GTEST_SKIP() << "the file system has no files without a name";
  }
  if (::fork() == 0) {
    const NewFile file(open_directory(directory_), "f", 0644, "f");
    ::raise(SIGKILL);
  }
  ::wait(nullptr);
  EXPECT_EQ(files(), 0U);
}

TEST_F(ReplaceFileTest, FailureLeavesNoTemporaryFile) {
  fs::create_directories(directory_ / "f/full");
  EXPECT_THROW(replace_file(directory_ / "f", "x", 0644), Error);
  EXPECT_EQ(files(), 1U);
  EXPECT_THROW(replace_file(directory_ / "missing/f", "x", 0644), Error);
}

}  // namespace
}  // namespace pyro
