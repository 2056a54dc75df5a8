#include "workspace/directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "base/directories.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using testing::TempDir;
using testing::write_file;
using Names = std::vector<std::string>;

class WorkspacesDirectoryTest : public ::testing::Test {
 protected:
  WorkspaceDirectory make(const std::string& name) const {
    const auto made = directory_.make_new();
    EXPECT_TRUE(directory_.publish(made.directory, name));
    return *directory_.find(name);
  }

  TempDir dir_;
  WorkspacesDirectory directory_{dir_.path() / "state/workspaces"};
};

TEST_F(WorkspacesDirectoryTest, MissingOneHasNoWorkspaces) {
  EXPECT_EQ(directory_.names(), Names());
  EXPECT_FALSE(directory_.find("a"));
  EXPECT_FALSE(std::filesystem::exists(directory_.path())) << "looking makes nothing";
}

TEST_F(WorkspacesDirectoryTest, IsTheUsersAlone) {
  make("a");
  struct stat status {};
  ASSERT_EQ(::stat(directory_.path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0700u);
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0770), 0);
  EXPECT_THROW(static_cast<void>(directory_.names()), Error);
}

TEST_F(WorkspacesDirectoryTest, NamesAreTakenOnce) {
  const WorkspaceDirectory a = make("a");
  const auto other = directory_.make_new();
  EXPECT_FALSE(directory_.publish(other.directory, "a"));
  make("b");
  EXPECT_FALSE(directory_.rename(a, "b"));
  EXPECT_TRUE(directory_.rename(a, "c"));
  EXPECT_EQ(directory_.names(), (Names{"b", "c"}));
  EXPECT_THROW(static_cast<void>(directory_.rename(a, "d")), Error) << "it is elsewhere now";
}

TEST_F(WorkspacesDirectoryTest, LeftoversAreRemovedUnlessTheyAreLocked) {
  auto made = std::make_unique<WorkspacesDirectory::New>(directory_.make_new());
  write_file(directory_.path() / ".old-0123/disk.ext4", "x");
  make("a");
  directory_.remove_leftovers();
  EXPECT_TRUE(std::filesystem::exists(made->directory.path()));
  EXPECT_FALSE(std::filesystem::exists(directory_.path() / ".old-0123"));
  const auto path = made->directory.path();
  made.reset();
  directory_.remove_leftovers();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(directory_.names(), Names{"a"});
}

TEST_F(WorkspacesDirectoryTest, RemovedOneIsGone) {
  const WorkspaceDirectory a = make("a");
  directory_.remove(a);
  EXPECT_EQ(directory_.names(), Names());
  directory_.remove(a);
  try {
    static_cast<void>(directory_.require("a"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
  }
}

TEST_F(WorkspacesDirectoryTest, SocketIsReachedInLongPath) {
  const WorkspacesDirectory deep(dir_.path() / std::string(120, 'd') / "workspaces");
  const auto made = deep.make_new();
  EXPECT_FALSE(made.directory.connect());
  Fd listener = made.directory.listen();
  EXPECT_TRUE(made.directory.connect());
  listener.reset();
  EXPECT_FALSE(made.directory.connect()) << "what a killed process leaves is no supervisor";
  EXPECT_NO_THROW(static_cast<void>(made.directory.listen()));
}

}  // namespace
}  // namespace pyro
