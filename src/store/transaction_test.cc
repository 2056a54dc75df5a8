// Tests of staging directories.
#include "store/transaction.h"

#include <gtest/gtest.h>

#include "base/directories.h"
#include "base/files.h"
#include "store/locks.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

class StagingDirectoryTest : public ::testing::Test {
 protected:
  [[nodiscard]] bool is_locked(const fs::path& directory) const {
    return UseLock::is_held(layout_, open_directory(directory).get());
  }
  void publish(StagingDirectory& staging) const {
    testing::write_file(staging.path_of("file"), "x");
    staging.publish(make_and_open_directory(destination_.parent_path()).get(), destination_);
  }

  testing::TempDir dir_;
  const CacheLayout layout_{dir_ / "cache"};
  const fs::path destination_ = layout_.installs_dir(EnvironmentKind::environment) / "tool_1-1.0.0";
};

TEST_F(StagingDirectoryTest, IsLockedUntilPublished) {
  StagingDirectory staging(layout_);
  EXPECT_TRUE(is_locked(staging.path_of("")));
  publish(staging);
  EXPECT_FALSE(is_locked(destination_)) << "while what it replaced may be removed still";
}

TEST_F(StagingDirectoryTest, ReplacementIsNotLocked) {
  StagingDirectory first(layout_);
  publish(first);
  StagingDirectory second(layout_);
  publish(second);
  EXPECT_FALSE(is_locked(destination_));
}

TEST_F(StagingDirectoryTest, ReplacedInstallStaysWhileInUse) {
  StagingDirectory first(layout_);
  publish(first);
  {
    const auto use = UseLock::try_share(layout_, open_directory(destination_).get());
    StagingDirectory second(layout_);
    publish(second);
    ASSERT_FALSE(fs::is_empty(layout_.staging_dir()));
    EXPECT_FALSE(is_locked(destination_)) << "the lock goes with the one that was replaced";
    EXPECT_TRUE(is_locked(fs::directory_iterator(layout_.staging_dir())->path()));
  }
  EXPECT_TRUE(fs::is_empty(layout_.locks_dir()));
}

TEST(Lock, ReportsFailureInsteadOfHeldLock) {
  try {
    static_cast<void>(try_lock(-1, LockKind::shared, "a directory of the cache"));
    FAIL() << "it was locked, or somebody held it";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "cannot lock a directory of the cache: Bad file descriptor");
  }
}

}  // namespace
}  // namespace pyro
