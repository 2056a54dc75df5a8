// Tests of holding an installed environment while others look at it.
#include "store/held_installation.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <thread>

#include "store/layout.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using namespace std::chrono_literals;

class HeldInstallationTest : public ::testing::Test {
 protected:
  HeldInstallationTest() {
    InstallRecord record{};
    record.name = environment_.name;
    record.version = environment_.version;
    for (const char* const name : {"vmlinux", "rootfs.ext4"}) {
      testing::write_file(install_ / name, name);
    }
    testing::write_file(install_ / kRecordName, record.render());
  }

  /// As whoever removes it would.
  [[nodiscard]] Fd lock() const {
    Fd directory = open_directory(install_);
    EXPECT_EQ(::flock(directory.get(), LOCK_EX | LOCK_NB), 0);
    return directory;
  }
  [[nodiscard]] bool is_held() const {
    return hold_installation(layout_, environment_).has_value();
  }

  testing::TempDir dir_;
  const Environment environment_ = Catalog::built_in().require("debian:12");
  const CacheLayout layout_{dir_ / "cache"};
  const std::filesystem::path install_ = layout_.install_dir(environment_);
};

TEST_F(HeldInstallationTest, ManyHoldItAtTheSameTime) {
  const auto first = hold_installation(layout_, environment_);
  EXPECT_TRUE(first);
  EXPECT_TRUE(is_held());
}

TEST_F(HeldInstallationTest, WhoeverOnlyLooksAtItKeepsNobody) {
  Fd looked_at = lock();
  const std::jthread looker([&looked_at] {
    std::this_thread::sleep_for(30ms);
    looked_at.reset();
  });
  EXPECT_TRUE(is_held());
}

TEST_F(HeldInstallationTest, WhatIsBeingRemovedIsBusy) {
  const Fd removed = lock();
  try {
    static_cast<void>(is_held());
    FAIL() << "it was held";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::busy);
  }
}

}  // namespace
}  // namespace pyro
