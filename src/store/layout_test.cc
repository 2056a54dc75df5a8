// Tests of opening the folders of a cache: rights and links.
#include "store/layout.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CacheLayoutTest : public ::testing::Test {
 protected:
  [[nodiscard]] static fs::perms mode(const fs::path& path) {
    return fs::status(path).permissions();
  }
  [[nodiscard]] CacheLayout with(Rights::Excess excess) {
    return {root_, Rights(excess, [this](std::string_view text) { told_.emplace_back(text); })};
  }

  testing::TempDir dir_;
  const fs::path root_ = dir_ / "cache";
  std::vector<std::string> told_;
};

TEST_F(CacheLayoutTest, OpenDoesNotCreateFolder) {
  const CacheLayout layout(root_);
  EXPECT_FALSE(layout.open(layout.installs_dir(EnvironmentKind::environment)));
  EXPECT_EQ(errno, ENOENT);
  EXPECT_FALSE(fs::exists(root_));
}

TEST_F(CacheLayoutTest, CreatesRootWithMode0700AndFoldersByUmask) {
  const CacheLayout layout(root_);
  EXPECT_TRUE(layout.make(layout.prepared_state_dir("tool:1", "none").parent_path()));
  EXPECT_EQ(mode(root_), fs::perms(0700));
  EXPECT_EQ(mode(root_ / "prepared/tool_1"), fs::perms(0755));
  EXPECT_TRUE(layout.open(layout.prepared_dir()));
}

TEST_F(CacheLayoutTest, CreatesRootsWithTrailingSlashesAndDots) {
  for (const char* const name : {"a", "b/", "c/.", "d//"}) {
    const CacheLayout layout(dir_.path() / name);
    EXPECT_TRUE(layout.make(layout.locks_dir())) << name;
  }
}

TEST_F(CacheLayoutTest, DoesNotFollowLinks) {
  fs::create_directories(dir_ / "elsewhere");
  fs::create_directories(root_);
  const CacheLayout layout(root_);
  fs::create_directory_symlink(dir_ / "elsewhere", layout.staging_dir());
  EXPECT_FALSE(layout.open(layout.staging_dir()));
  EXPECT_THROW(static_cast<void>(layout.make(layout.staging_dir())), Error);
}

TEST_F(CacheLayoutTest, RemovesWriteRightsOfOthersAndWarnsOnce) {
  const CacheLayout layout = with(Rights::Excess::taken_away);
  static_cast<void>(layout.make(layout.installs_dir(EnvironmentKind::environment)));
  for (const fs::path& path : {root_, layout.installs_dir(EnvironmentKind::environment)})
    fs::permissions(path, fs::perms(0777));
  const CacheLayout again = with(Rights::Excess::taken_away);
  for (int i = 0; i < 2; ++i)
    EXPECT_TRUE(again.open(again.installs_dir(EnvironmentKind::environment)));
  EXPECT_THAT(told_, ElementsAre(HasSubstr(root_.string() + " could be written by everybody"),
                                 HasSubstr("linux-x86_64 could be written by everybody")));
  EXPECT_EQ(mode(root_), fs::perms(0755));
  EXPECT_EQ(mode(again.installs_dir(EnvironmentKind::environment)), fs::perms(0755));
}

TEST_F(CacheLayoutTest, RejectsWritableRootWithRemedy) {
  fs::create_directories(root_);
  fs::permissions(root_, fs::perms(0775));
  try {
    with(Rights::Excess::refused).check_root();
    FAIL() << "it was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
    EXPECT_EQ(error.what(), root_.string() + " can be written by its group");
    EXPECT_THAT(error.hint(), HasSubstr("chmod go-w " + root_.string()));
  }
  EXPECT_EQ(mode(root_), fs::perms(0775));
}

TEST_F(CacheLayoutTest, ToleratesWritableRootUnchanged) {
  fs::create_directories(root_);
  fs::permissions(root_, fs::perms(0777));
  EXPECT_NO_THROW(with(Rights::Excess::tolerated).check_root());
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_EQ(mode(root_), fs::perms(0777));
}

// Containers are handed what belongs to the user outside, as the target of a link.
TEST_F(CacheLayoutTest, RootTrustsLinkTargetsOfOtherUsersOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  testing::write_file(dir_ / "bundle", "x");
  fs::create_directories(root_);
  fs::create_symlink(dir_ / "bundle", root_ / "link");
  testing::write_file(root_ / "file", "x");
  for (const fs::path& path : {dir_ / "bundle", root_ / "file"}) {
    ASSERT_EQ(::chown(path.c_str(), 54321, 54321), 0);
  }
  const CacheLayout layout(root_);
  const Fd root = layout.open(root_);
  EXPECT_NO_THROW(layout.rights().guard_at(root.get(), "link", root_ / "link"));
  EXPECT_THROW(layout.rights().guard_at(root.get(), "file", root_ / "file"), Error);
  // For root alone.
  fs::permissions(dir_.path(), fs::perms(0755));
  fs::permissions(root_, fs::perms(0755));
  ASSERT_EQ(::seteuid(65534), 0);
  EXPECT_THROW(layout.rights().guard_at(root.get(), "link", root_ / "link"), Error);
  ASSERT_EQ(::seteuid(0), 0);
}

}  // namespace
}  // namespace pyro
