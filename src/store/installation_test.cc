// Tests of leases on an installed environment.
#include "store/installation.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <thread>

#include "base/directories.h"
#include "store/layout.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using namespace std::chrono_literals;

class InstallLeaseTest : public ::testing::Test {
 protected:
  InstallLeaseTest() {
    InstallRecord record{};
    record.name = environment_.name;
    record.version = environment_.version;
    for (const char* const name : {"vmlinux", "rootfs.ext4"}) {
      testing::write_file(install_ / name, name);
    }
    testing::write_file(install_ / kRecordName, record.render());
  }

  /// The lock that a removal takes.
  [[nodiscard]] std::optional<UseLock> lock() const {
    auto use = UseLock::try_acquire(layout_.make(layout_.locks_dir()).get(),
                                    open_directory(install_).get(), LockKind::exclusive);
    EXPECT_TRUE(use);
    return use;
  }
  [[nodiscard]] bool is_held() const { return acquire_lease(layout_, environment_).has_value(); }

  testing::TempDir dir_;
  const Environment environment_ = Catalog::built_in().require("debian:12");
  const CacheLayout layout_{dir_ / "cache"};
  const std::filesystem::path install_ = layout_.install_dir(environment_);
};

TEST_F(InstallLeaseTest, IsSharedByManyHolders) {
  const auto first = acquire_lease(layout_, environment_);
  EXPECT_TRUE(first);
  EXPECT_TRUE(is_held());
}

TEST_F(InstallLeaseTest, WaitsForShortExclusiveLock) {
  auto looked_at = lock();
  const std::jthread looker([&looked_at] {
    std::this_thread::sleep_for(30ms);
    looked_at.reset();
  });
  EXPECT_TRUE(is_held());
}

TEST_F(InstallLeaseTest, FailsWithBusyDuringRemoval) {
  const auto removed = lock();
  try {
    static_cast<void>(is_held());
    FAIL() << "it was held";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::busy);
  }
}

// All who may read the cache can hold a lock on its directories.
TEST_F(InstallLeaseTest, IgnoresLockOnDirectory) {
  const Fd directory = open_directory(install_);
  ASSERT_EQ(::flock(directory.get(), LOCK_EX | LOCK_NB), 0);
  EXPECT_TRUE(is_held());
}

TEST_F(InstallLeaseTest, LockFileIsPrivateAndLastsUntilLastHolder) {
  auto first = acquire_lease(layout_, environment_);
  const auto second = acquire_lease(layout_, environment_);
  first.reset();
  const auto locks = layout_.locks_dir();
  ASSERT_FALSE(std::filesystem::is_empty(locks));
  EXPECT_EQ(std::filesystem::directory_iterator(locks)->status().permissions(),
            std::filesystem::perms(0600));
  EXPECT_TRUE(UseLock::is_held(layout_, second->directory.get()));
}

TEST_F(InstallLeaseTest, ReleaseRemovesLockFile) {
  EXPECT_TRUE(is_held());
  EXPECT_TRUE(std::filesystem::is_empty(layout_.locks_dir()));
}

TEST_F(InstallLeaseTest, RemovesStaleLocksOnly) {
  testing::write_file(layout_.locks_dir() / "17.use", "");
  testing::write_file(layout_.locks_dir() / "other.lock", "");
  const auto held = acquire_lease(layout_, environment_);
  UseLock::remove_stale(layout_);
  EXPECT_FALSE(std::filesystem::exists(layout_.locks_dir() / "17.use"));
  EXPECT_TRUE(std::filesystem::exists(layout_.locks_dir() / "other.lock"));
  EXPECT_TRUE(UseLock::is_held(layout_, held->directory.get()));
}

// As in a cache that may only be read.
TEST_F(InstallLeaseTest, WorksWithoutLocksDirectory) {
  testing::write_file(layout_.locks_dir(), "in the way");
  EXPECT_TRUE(is_held());
}

}  // namespace
}  // namespace pyro
