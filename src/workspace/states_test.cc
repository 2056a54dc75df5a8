#include "workspace/states.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "pyro/error.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using testing::read_file;
using testing::TempDir;

class WorkspaceStateTest : public ::testing::Test {
 protected:
  [[nodiscard]] WorkspaceState make(const std::string& name) const {
    fs::create_directory(dir_.path() / name);
    return {Fd(::open((dir_.path() / name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
            dir_.path() / name};
  }
  static void write(const Fd& file, const std::string& content) {
    write_all(file.get(), content, "a file");
  }
  [[nodiscard]] ino_t inode_of(const std::string& name) const {
    struct stat status {};
    EXPECT_EQ(::stat((dir_.path() / name).c_str(), &status), 0) << name;
    return status.st_ino;
  }
  /// One with a disk and a saved machine.
  [[nodiscard]] WorkspaceState make_suspended(const std::string& name) const {
    WorkspaceState state = make(name);
    write(state.make_disk(), "disk");
    const auto files = state.make_machine_files();
    write(files.memory, "memory");
    write(files.devices, "devices");
    EXPECT_FALSE(state.has_machine()) << "it is not complete";
    state.write_machine({{"key", 1}}, {{.session = 7, .number = 3, .command = {"a", "b"}}}, true);
    return state;
  }

  TempDir dir_;
};

TEST_F(WorkspaceStateTest, MachineIsReadAsItWasWritten) {
  const WorkspaceState state = make_suspended("1");
  ASSERT_TRUE(state.has_machine());
  const auto saved = state.saved_machine();
  EXPECT_EQ(saved->manifest["key"], 1);
  EXPECT_EQ(saved->sessions, std::vector<std::uint16_t>{7});
  ASSERT_EQ(state.processes().size(), 1u);
  EXPECT_EQ(state.processes()[0].number, 3u);
  EXPECT_EQ(state.processes()[0].command, (std::vector<std::string>{"a", "b"}));
}

TEST_F(WorkspaceStateTest, MachineIsForgottenBeforeItRuns) {
  const WorkspaceState state = make_suspended("1");
  const auto saved = state.saved_machine();
  EXPECT_TRUE(state.has_machine()) << "looking changes nothing";
  saved->forget();
  EXPECT_FALSE(state.has_machine());
  EXPECT_FALSE(state.saved_machine());
  EXPECT_TRUE(state.processes().empty());
  EXPECT_FALSE(fs::exists(dir_.path() / "1/memory"));
}

TEST_F(WorkspaceStateTest, CopyHasDiskOfItsOwnAndSharesMemory) {
  const WorkspaceState state = make_suspended("1");
  const WorkspaceState copy = make("2");
  copy.copy_from(state, false, {});
  EXPECT_EQ(inode_of("1/memory"), inode_of("2/memory"));
  EXPECT_NE(inode_of("1/disk.ext4"), inode_of("2/disk.ext4"));
  EXPECT_EQ(read_file(dir_.path() / "2/disk.ext4"), "disk");
  copy.forget_machine();
  EXPECT_TRUE(state.has_machine());
  EXPECT_EQ(read_file(dir_.path() / "1/memory"), "memory");
  const WorkspaceState snapshot = make("3");
  snapshot.copy_from(state, true, {});
  EXPECT_EQ(inode_of("1/disk.ext4"), inode_of("3/disk.ext4"));
}

TEST_F(WorkspaceStateTest, DamagedManifestIsAMachineThatFitsNothing) {
  const WorkspaceState state = make_suspended("1");
  testing::write_file(dir_.path() / "1/machine.json", "{");
  ASSERT_TRUE(state.has_machine());
  EXPECT_EQ(state.saved_machine()->manifest, nlohmann::json::object());
  EXPECT_TRUE(state.processes().empty());
}

}  // namespace
}  // namespace pyro
