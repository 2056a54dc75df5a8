#include "workspace/host_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/files.h"
#include "pyro/error.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using guest::EntryKind;
using testing::TempDir;
using testing::write_file;

struct stat status_of(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0);
  return status;
}

TEST(HostFiles, ReadsWhatItWrote) {
  const TempDir directory;
  write_file(directory / "seed/a b\nc", "content");
  const struct stat status = status_of(directory / "seed/a b\nc");
  HostFiles files((directory / "seed").string());
  files.note("a b\nc", status);
  const Fd workspace = open_at(AT_FDCWD, directory.path(), O_RDONLY | O_DIRECTORY, 0, "");
  files.write(workspace.get(), directory.path());
  const auto read = HostFiles::read(workspace.get());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->directory(), directory / "seed");
  EXPECT_TRUE(read->is_unchanged("a b\nc", status));
  EXPECT_FALSE(read->is_unchanged("other", status));
  struct stat other = status;
  other.st_mtim.tv_nsec ^= 1;
  EXPECT_FALSE(read->is_unchanged("a b\nc", other));
}

TEST(HostFiles, RejectsDamagedRecord) {
  const TempDir directory;
  const Fd workspace = open_at(AT_FDCWD, directory.path(), O_RDONLY | O_DIRECTORY, 0, "");
  EXPECT_FALSE(HostFiles::read(workspace.get()));
  write_file(directory / "seed-files", std::string("/seed\0 1 2", 10));
  EXPECT_THROW(static_cast<void>(HostFiles::read(workspace.get())), Error);
}

TEST(CopyOutRules, NameFilesThatMayRunByThemselves) {
  for (const char* const path : {".envrc", "sub/.envrc", ".vscode/tasks.json", ".mcp.json",
                                 ".github/workflows/ci.yml", "Jenkinsfile"}) {
    EXPECT_TRUE(may_run_by_itself(path)) << path;
  }
  for (const char* const path : {"src/main.c", "envrc", ".env", "github/x", ".vscode.txt"}) {
    EXPECT_FALSE(may_run_by_itself(path)) << path;
  }
}

TEST(CopyOutRules, KeepGitOfCheckoutInEverySpelling) {
  const TempDir directory;
  fs::create_directories(directory / "checkout/.git");
  CopyOut copy;
  CopyOutRules rules(copy, -1);
  rules.begin(directory / "checkout");
  EXPECT_TRUE(rules.wants("", EntryKind::directory));
  EXPECT_FALSE(rules.wants(".git", EntryKind::directory));
  EXPECT_FALSE(rules.wants("sub/.gIt", EntryKind::file));
  EXPECT_FALSE(rules.wants("sub/.GIT", EntryKind::link));
  EXPECT_TRUE(rules.wants(".gitignore", EntryKind::file));
  EXPECT_EQ(rules.result().left_out.size(), 3u);
  EXPECT_THROW(rules.begin(directory / "checkout/.git/hooks"), Error);
  EXPECT_NO_THROW(rules.begin(directory / "elsewhere"));
  EXPECT_TRUE(rules.wants(".git", EntryKind::directory)) << "no checkout";
}

}  // namespace
}  // namespace pyro
