// Tests of the disks that are gone with their machine.
#include "machine/scratch_disk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

class ScratchDiskTest : public ::testing::Test {
 protected:
  ScratchDiskTest() { fs::create_directory(dir_ / "cache"); }

  [[nodiscard]] struct stat make(unsigned mebibytes) {
    disk_ = make_scratch_disk(layout_, mebibytes, {});
    struct stat status {};
    EXPECT_EQ(::fstat(disk_.get(), &status), 0);
    return status;
  }
  [[nodiscard]] fs::path template_of(const char* size) const {
    return dir_ / "cache/host" / (std::string("scratch-") + size + ".ext4");
  }

  testing::TempDir dir_;
  const CacheLayout layout_{dir_ / "cache"};
  Fd disk_;
};

TEST_F(ScratchDiskTest, IsSparseAndHasNoName) {
  const struct stat disk = make(1024);
  EXPECT_EQ(disk.st_size, 1 << 30);
  EXPECT_LT(disk.st_blocks * 512, 2 << 20);
  EXPECT_EQ(disk.st_nlink, 0u);
  EXPECT_TRUE(fs::is_empty(dir_ / "cache/staging"));
}

TEST_F(ScratchDiskTest, FileSystemIsMadeOnceForEachSize) {
  static_cast<void>(make(64));
  const auto time = fs::last_write_time(template_of("64"));
  static_cast<void>(make(64));
  EXPECT_EQ(fs::last_write_time(template_of("64")), time);
  EXPECT_EQ(make(128).st_size, 128 << 20);
}

TEST_F(ScratchDiskTest, SpoiledFileSystemIsMadeAgain) {
  static_cast<void>(make(64));
  fs::resize_file(template_of("64"), 1000);
  EXPECT_EQ(make(64).st_size, 64 << 20);
  EXPECT_EQ(fs::file_size(template_of("64")), 64u << 20);
  fs::permissions(template_of("64"), fs::perms(0666));
  static_cast<void>(make(64));
  EXPECT_EQ(fs::status(template_of("64")).permissions(), fs::perms(0600));
  fs::remove(template_of("64"));
  fs::create_symlink("/dev/null", template_of("64"));
  EXPECT_EQ(make(64).st_size, 64 << 20);
  EXPECT_FALSE(fs::is_symlink(template_of("64")));
}

}  // namespace
}  // namespace pyro
