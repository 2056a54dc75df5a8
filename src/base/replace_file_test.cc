// Tests of files whose content changes in one step.
#include "base/replace_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "base/new_file.h"
#include "pyro/error.h"

namespace pyro {
namespace {

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

TEST_F(ReplaceFileTest, MakesAndReplaces) {
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

TEST_F(ReplaceFileTest, ReplacesNothingButFiles) {
  const fs::path pipe = directory_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(replace_file(pipe, "x", 0644), Error);
  EXPECT_TRUE(fs::is_fifo(pipe));
  EXPECT_EQ(files(), 1U);
}

TEST_F(ReplaceFileTest, LeavesNothingOfKilledProcess) {
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

TEST_F(ReplaceFileTest, FailingLeavesNothing) {
  fs::create_directories(directory_ / "f/full");
  EXPECT_THROW(replace_file(directory_ / "f", "x", 0644), Error);
  EXPECT_EQ(files(), 1U);
  EXPECT_THROW(replace_file(directory_ / "missing/f", "x", 0644), Error);
}

}  // namespace
}  // namespace pyro
