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

WorkspaceManifest sample() {
  WorkspaceManifest manifest{
      .environment = "docker.io/library/tool:1",
      .version = "1.0.0",
      .kind = EnvironmentKind::container,
      .cpus = 2,
      .memory_mib = 512,
      .disk_mib = 8192,
      .network = GuestNetwork::user_and_host,
      .idle = std::chrono::seconds(90),
      .created = std::chrono::system_clock::time_point(std::chrono::seconds(1'800'000'000))};
  manifest.base = BaseRecord{.name = "debian:12"};
  manifest.base->digests.emplace("vmlinux", *Digest::parse("sha256:" + std::string(64, 'a')));
  return manifest;
}

TEST(WorkspaceManifest, IsReadAsItWasWritten) {
  const WorkspaceManifest manifest = WorkspaceManifest::parse(sample().render());
  EXPECT_EQ(manifest.render(), sample().render());
  EXPECT_EQ(manifest.base, sample().base);
  EXPECT_EQ(manifest.network, GuestNetwork::user_and_host);
}

TEST(WorkspaceManifest, OtherTextIsRefused) {
  const std::string good = sample().render();
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[1]"), good.substr(0, good.size() / 2),
        std::string(good).replace(good.find("\"cpus\": 2"), 9, "\"cpus\": {}"),
        std::string(good).replace(good.find("\"format\": 1"), 11, "\"format\": 2")}) {
    EXPECT_THROW(static_cast<void>(WorkspaceManifest::parse(text)), Error) << text;
  }
}

TEST(WorkspaceNames, AreOnePathComponent) {
  for (const char* const name : {"a", "fix-parser_2.1", "0"}) {
    EXPECT_NO_THROW(require_workspace_name(name)) << name;
  }
  for (const std::string& name : Names{"", ".", "..", ".new-1", "a/b", "-a", "a b", "a\n",
                                       std::string(65, 'a'), std::string("a\0b", 3)}) {
    EXPECT_THROW(require_workspace_name(name), Error) << name;
  }
}

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
