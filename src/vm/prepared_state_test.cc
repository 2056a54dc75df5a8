// Tests of whether a saved state is still of what is there.
#include "vm/prepared_state.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using testing::write_file;

Fd open_to_read(const fs::path& file) {
  return Fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
}

class PreparedStateTest : public ::testing::Test {
 protected:
  PreparedStateTest() {
    for (const char* name : {"vmlinux", "rootfs.ext4", "initrd.img", "monitor"}) {
      write_file(dir_ / name, name);
    }
    write_file(state() / kMemoryName, std::string(4096, 'm'));
    write_file(state() / kDevicesName, "devices");
    held_.installation.record = {.catalog_version = "1",
                                 .name = "tool:1",
                                 .version = "1.0.0",
                                 .source = "somewhere",
                                 .source_digest = "sha256:ab",
                                 .catalog_file = {},
                                 .oci_digest = {},
                                 .artifacts = {}};
    open_files();
    write_manifest();
  }

  [[nodiscard]] fs::path state() const { return dir_ / "state"; }
  [[nodiscard]] fs::path monitor() const { return dir_ / "monitor"; }

  void open_files() {
    held_.kernel = open_to_read(dir_ / "vmlinux");
    held_.rootfs = open_to_read(dir_ / "rootfs.ext4");
    held_.initrd = open_to_read(dir_ / "initrd.img");
  }

  [[nodiscard]] json conditions() const { return state_conditions(held_, shape_, monitor_); }

  void write_manifest() const {
    const json manifest = {
        {"conditions", conditions()},
        {"state",
         {{"memory", file_identity(open_to_read(state() / kMemoryName).get())},
          {"devices", file_identity(open_to_read(state() / kDevicesName).get())}}}};
    write_file(state() / kManifestName, manifest.dump());
  }

  [[nodiscard]] StateLookup find() const { return find_prepared_state(state(), conditions()); }

  /// As `cp` and `mv` would replace it.
  void replace(const std::string& name) const {
    write_file(dir_ / "new", name);
    fs::rename(dir_ / "new", dir_ / name);
  }

  testing::TempDir dir_;
  HeldInstallation held_;
  MachineShape shape_;
  fs::path monitor_ = dir_ / "monitor";
};

TEST_F(PreparedStateTest, WhatHasNotChangedMatches) {
  const StateLookup found = find();
  EXPECT_TRUE(found.exists);
  ASSERT_TRUE(found.state);
  EXPECT_TRUE(found.state->memory);
  EXPECT_TRUE(found.state->devices);
  EXPECT_THAT(found.differences, ElementsAre());
}

TEST_F(PreparedStateTest, WhereThereIsNoneThereIsNothingToTell) {
  fs::remove_all(state());
  const StateLookup found = find();
  EXPECT_FALSE(found.exists);
  EXPECT_FALSE(found.state);
  EXPECT_THAT(found.differences, ElementsAre());
}

struct Change {
  const char* name;
  void (*make)(struct Changeable& test);
  const char* told;

  friend void PrintTo(const Change& self, std::ostream* out) { *out << self.name; }
};

struct Changeable : PreparedStateTest {
  using PreparedStateTest::held_;
  using PreparedStateTest::monitor_;
  using PreparedStateTest::open_files;
  using PreparedStateTest::shape_;

  void replace_artifact(const char* name) {
    replace(name);
    open_files();
  }
  [[nodiscard]] fs::path file(const char* name) const { return dir_ / name; }
  [[nodiscard]] fs::path state_file(const char* name) const { return state() / name; }
  [[nodiscard]] InstallRecord& record() { return held_.installation.record; }
};

class ChangeTest : public Changeable, public ::testing::WithParamInterface<Change> {};

TEST_P(ChangeTest, IsNamed) {
  GetParam().make(*this);
  const StateLookup found = find();
  EXPECT_TRUE(found.exists);
  EXPECT_FALSE(found.state);
  EXPECT_THAT(found.differences, ElementsAre(GetParam().told));
}

INSTANTIATE_TEST_SUITE_P(
    Changes, ChangeTest,
    ::testing::Values(
        Change{"Kernel", [](Changeable& test) { test.replace_artifact("vmlinux"); },
               "vmlinux was changed or replaced"},
        Change{"Rootfs", [](Changeable& test) { test.replace_artifact("rootfs.ext4"); },
               "rootfs.ext4 was changed or replaced"},
        Change{"RootfsWrittenTo",
               [](Changeable& test) {
                 write_file(test.file("rootfs.ext4"), "longer than it was before");
                 test.open_files();
               },
               "rootfs.ext4 was changed or replaced"},
        Change{"Initrd", [](Changeable& test) { test.replace_artifact("initrd.img"); },
               "initrd.img was changed or replaced"},
        Change{"InitrdGone", [](Changeable& test) { test.held_.initrd.reset(); },
               "initrd.img was changed or replaced"},
        Change{"Monitor", [](Changeable& test) { test.replace_artifact("monitor"); },
               "the machine monitor was replaced"},
        Change{"AnotherMonitor", [](Changeable& test) { test.monitor_ = test.file("vmlinux"); },
               "the machine monitor was replaced"},
        Change{"MonitorGone", [](Changeable& test) { fs::remove(test.file("monitor")); },
               "the machine monitor was replaced"},
        Change{"Version", [](Changeable& test) { test.record().version = "2.0.0"; },
               "another version of the environment is installed"},
        Change{"Name", [](Changeable& test) { test.record().name = "tool_1"; },
               "it is of another environment"},
        Change{"Digest", [](Changeable& test) { test.record().source_digest = "sha256:cd"; },
               "another build of the environment is installed"},
        Change{"Memory", [](Changeable& test) { test.shape_.memory_mib *= 2; },
               "a machine of another shape or accelerator is asked for"},
        Change{"Processors", [](Changeable& test) { test.shape_.cpus = 2; },
               "a machine of another shape or accelerator is asked for"},
        Change{"Type", [](Changeable& test) { test.shape_.type = MachineType::microvm; },
               "a machine of another shape or accelerator is asked for"},
        Change{"Network", [](Changeable& test) { test.shape_.network = GuestNetwork::user; },
               "a machine of another shape or accelerator is asked for"},
        Change{"StateCutShort",
               [](Changeable& test) { fs::resize_file(test.state_file(kMemoryName), 1000); },
               "the saved state itself was changed"},
        Change{"StateWrittenTo",
               [](Changeable& test) { write_file(test.state_file(kDevicesName), "DEVICES!"); },
               "the saved state itself was changed"},
        Change{"StateGone", [](Changeable& test) { fs::remove(test.state_file(kMemoryName)); },
               "the saved state itself was changed"},
        Change{"StateIsALink",
               [](Changeable& test) {
                 fs::rename(test.state_file(kMemoryName), test.file("memory"));
                 fs::create_symlink(test.file("memory"), test.state_file(kMemoryName));
               },
               "the saved state itself was changed"},
        Change{"NoManifest", [](Changeable& test) { fs::remove(test.state_file(kManifestName)); },
               "its manifest cannot be read"},
        Change{"ManifestOfNonsense",
               [](Changeable& test) { write_file(test.state_file(kManifestName), "\xff{"); },
               "its manifest cannot be read"},
        Change{"ManifestOfAnotherKind",
               [](Changeable& test) { write_file(test.state_file(kManifestName), "[]"); },
               "its manifest cannot be read"},
        Change{"ManifestWithoutEnd",
               [](Changeable& test) {
                 write_file(test.state_file(kManifestName), std::string(2 << 20, ' '));
               },
               "its manifest cannot be read"}),
    [](const auto& row) { return row.param.name; });

TEST_F(PreparedStateTest, AManifestOfStrangersSaysNothing) {
  for (const char* text :
       {"{}", R"({"conditions":[],"state":{}})", R"({"conditions":{},"state":[]})",
        R"({"conditions":"x","state":"y"})", R"({"conditions":null})"}) {
    write_file(state() / kManifestName, text);
    const StateLookup found = find();
    EXPECT_FALSE(found.state) << text;
    EXPECT_FALSE(found.differences.empty()) << text;
  }
}

TEST_F(PreparedStateTest, WithKvmTheProcessorCounts) {
  shape_.accelerator = Accelerator::kvm;
  EXPECT_TRUE(conditions().contains("processor"));
  shape_.accelerator = Accelerator::tcg;
  EXPECT_FALSE(conditions().contains("processor"));
}

TEST_F(PreparedStateTest, AMachineWithANetworkHasAStateOfItsOwn) {
  const CacheLayout layout(dir_ / "cache");
  EXPECT_NE(prepared_state_dir(layout, "tool:1", GuestNetwork::none),
            prepared_state_dir(layout, "tool:1", GuestNetwork::user));
}

}  // namespace
}  // namespace pyro
