// Tests of whether a saved state is authentic, and still matches the environment and the host.
#include "machine/saved_states.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "base/hash.h"
#include "machine/qemu/qemu.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::write_file;

Fd open_to_read(const fs::path& file) {
  return Fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
}

class SavedStatesTest : public ::testing::Test {
 protected:
  SavedStatesTest() {
    for (const char* name : {"vmlinux", "rootfs.ext4", "initrd.img", "monitor"}) {
      write_file(dir_ / name, name);
    }
    write_file(state() / kMemoryName, std::string(4096, 'm'));
    write_file(state() / kDevicesName, "devices");
    lease_.installation.record = {.catalog_version = "1",
                                  .name = "tool:1",
                                  .version = "1.0.0",
                                  .source = "somewhere",
                                  .source_digest = "sha256:ab",
                                  .catalog_file = {},
                                  .oci_digest = {},
                                  .artifacts = {}};
    lease_.directory = Fd(::open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    open_files();
    write_manifest(config_);
  }

  [[nodiscard]] fs::path state() const {
    return layout_.prepared_state_dir("tool:1", "1-512-none");
  }
  [[nodiscard]] fs::path monitor() const { return dir_ / "monitor"; }

  void open_files() {
    lease_.kernel = open_to_read(dir_ / "vmlinux");
    lease_.rootfs = open_to_read(dir_ / "rootfs.ext4");
    lease_.initrd = open_to_read(dir_ / "initrd.img");
  }

  [[nodiscard]] StateKey key() const { return {lease_, config_, monitor_}; }

  /// Of a state that was saved of a machine of that config.
  void write_manifest(const MachineConfig& config) const {
    const PreparedState saved{.config = config,
                              .memory = open_to_read(state() / kMemoryName),
                              .devices = open_to_read(state() / kDevicesName)};
    write_sealed(state_manifest(state_conditions(key(), config), saved));
  }
  void write_sealed(json manifest) const {
    StateSeal({.state_key = kKey}).seal(manifest);
    write_file(state() / kManifestName, manifest.dump());
  }
  [[nodiscard]] json manifest() const {
    return json::parse(testing::read_file(state() / kManifestName));
  }

  /// Of the shape that is asked for, whatever it was saved as.
  [[nodiscard]] StateLookup find() const {
    const SavedStates states(layout_, options_);
    const fs::path directory = states.directory_of(key());
    if (directory != state() && fs::exists(state())) fs::rename(state(), directory);
    return states.find(key());
  }

  /// One condition in the manifest, as if it had been another when the state was made.
  void change_condition(const char* key) const {
    json changed = manifest();
    ASSERT_TRUE(changed["conditions"].contains(key));
    changed["conditions"][key] = "another";
    write_sealed(changed);
  }

  /// As `cp` and `mv` would replace it.
  static void replace(const fs::path& file, std::string_view content) {
    const fs::path draft = file.string() + ".new";
    write_file(draft, content);
    fs::rename(draft, file);
  }

  static constexpr const char* kKey = "sixteen bytes or more";
  testing::TempDir dir_;
  MachineOptions options_{.state_key = kKey, .state_key_file = dir_ / "home/pyro/state.key"};
  const CacheLayout layout_{dir_ / "cache"};
  InstallLease lease_;
  MachineConfig config_;
  Qemu monitor_{dir_ / "monitor"};
};

TEST_F(SavedStatesTest, UnchangedStateMatches) {
  const StateLookup found = find();
  EXPECT_TRUE(found.exists);
  ASSERT_TRUE(found.state);
  EXPECT_TRUE(found.state->memory);
  EXPECT_TRUE(found.state->devices);
  EXPECT_THAT(found.differences, ElementsAre());
}

TEST_F(SavedStatesTest, MissingStateHasNoDifferences) {
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

struct Changeable : SavedStatesTest {
  using SavedStatesTest::change_condition;
  using SavedStatesTest::config_;
  using SavedStatesTest::lease_;
  using SavedStatesTest::manifest;
  using SavedStatesTest::monitor_;
  using SavedStatesTest::open_files;
  using SavedStatesTest::options_;
  using SavedStatesTest::replace;
  using SavedStatesTest::write_sealed;

  /// By one of the same size.
  void replace_artifact(const std::string& name) {
    replace(dir_ / name, std::string(name.size(), 'x'));
    open_files();
  }
  [[nodiscard]] fs::path file(const char* name) const { return dir_ / name; }
  [[nodiscard]] fs::path state_file(const char* name) const { return state() / name; }
  [[nodiscard]] InstallRecord& record() { return lease_.installation.record; }
};

class ChangedStateTest : public Changeable, public ::testing::WithParamInterface<Change> {};

TEST_P(ChangedStateTest, IsRejectedWithReason) {
  GetParam().make(*this);
  const StateLookup found = find();
  EXPECT_TRUE(found.exists);
  EXPECT_FALSE(found.state);
  EXPECT_THAT(found.differences, ElementsAre(GetParam().told));
}

INSTANTIATE_TEST_SUITE_P(
    Changes, ChangedStateTest,
    ::testing::Values(
        Change{"Kernel", [](Changeable& test) { test.replace_artifact("vmlinux"); },
               "vmlinux was changed or replaced"},
        Change{"Rootfs", [](Changeable& test) { test.replace_artifact("rootfs.ext4"); },
               "rootfs.ext4 was changed or replaced"},
        Change{"RootfsModified",
               [](Changeable& test) {
                 write_file(test.file("rootfs.ext4"), "longer than it was before");
                 test.open_files();
               },
               "rootfs.ext4 was changed or replaced"},
        Change{"Initrd", [](Changeable& test) { test.replace_artifact("initrd.img"); },
               "initrd.img was changed or replaced"},
        Change{"InitrdGone", [](Changeable& test) { test.lease_.initrd.reset(); },
               "initrd.img was changed or replaced"},
        Change{"Monitor", [](Changeable& test) { test.replace_artifact("monitor"); },
               "the machine monitor was replaced"},
        Change{"AnotherMonitor",
               [](Changeable& test) { test.monitor_ = Qemu(test.file("vmlinux")); },
               "the machine monitor was replaced"},
        Change{"MonitorGone", [](Changeable& test) { fs::remove(test.file("monitor")); },
               "the machine monitor was replaced"},
        Change{"Version", [](Changeable& test) { test.record().version = "2.0.0"; },
               "another version of the environment is installed"},
        Change{"Name", [](Changeable& test) { test.record().name = "tool_1"; },
               "it is of another environment"},
        Change{"Digest", [](Changeable& test) { test.record().source_digest = "sha256:cd"; },
               "another build of the environment is installed"},
        Change{"Memory", [](Changeable& test) { test.config_.memory_mib *= 2; },
               "a machine of another shape or accelerator is asked for"},
        Change{"Processors", [](Changeable& test) { test.config_.cpus = 2; },
               "a machine of another shape or accelerator is asked for"},
        Change{"Network", [](Changeable& test) { test.config_.network = GuestNetwork::user; },
               "a machine of another shape or accelerator is asked for"},
        Change{"GuestProgram", [](Changeable& test) { test.change_condition("guest_program"); },
               "this pyro has another guest program"},
        Change{"Options", [](Changeable& test) { test.change_condition("options"); },
               "this pyro starts machines with other options"},
        Change{"Catalog", [](Changeable& test) { test.change_condition("catalog_version"); },
               "this pyro has another catalog"},
        Change{"StateTruncated",
               [](Changeable& test) { fs::resize_file(test.state_file(kMemoryName), 1000); },
               "the saved state itself was changed"},
        Change{"StateModified",
               [](Changeable& test) { write_file(test.state_file(kDevicesName), "DEVICES!"); },
               "the saved state itself was changed"},
        Change{"StateReplaced",
               [](Changeable& test) {
                 Changeable::replace(test.state_file(kMemoryName), std::string(4096, 'M'));
               },
               "the saved state itself was changed"},
        Change{"OtherKey", [](Changeable& test) { test.options_.state_key = "sixteen bytes, too"; },
               "it was made with another key, or its manifest was changed"},
        Change{"NoKey", [](Changeable& test) { test.options_.state_key.clear(); },
               "it was made with another key, or its manifest was changed"},
        Change{"NoHmac",
               [](Changeable& test) {
                 json manifest = test.manifest();
                 manifest.erase("hmac");
                 write_file(test.state_file(kManifestName), manifest.dump());
               },
               "its manifest has no HMAC"},
        Change{"ManifestModified",
               [](Changeable& test) {
                 json manifest = test.manifest();
                 manifest["prepared_at"] = 0;
                 write_file(test.state_file(kManifestName), manifest.dump());
               },
               "it was made with another key, or its manifest was changed"},
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
        Change{"ManifestInvalid",
               [](Changeable& test) { write_file(test.state_file(kManifestName), "\xff{"); },
               "its manifest cannot be read"},
        Change{"ManifestIsArray",
               [](Changeable& test) { write_file(test.state_file(kManifestName), "[]"); },
               "its manifest cannot be read"},
        Change{"ManifestTooLarge",
               [](Changeable& test) {
                 write_file(test.state_file(kManifestName), std::string(2 << 20, ' '));
               },
               "its manifest cannot be read"}),
    [](const auto& row) { return row.param.name; });

TEST_F(SavedStatesTest, RejectsInvalidManifests) {
  for (const char* text :
       {"{}", R"({"conditions":[],"files":{}})", R"({"conditions":{},"files":[]})",
        R"({"conditions":"x","files":"y"})", R"({"conditions":null})"}) {
    json invalid = json::parse(text);
    invalid["booted_on"] = machine_type_json(config_);
    write_sealed(invalid);
    const StateLookup found = find();
    EXPECT_FALSE(found.state) << text;
    EXPECT_FALSE(found.differences.empty()) << text;
  }
}

TEST_F(SavedStatesTest, KvmStateDependsOnProcessorAndHostKernel) {
  EXPECT_FALSE(state_conditions(key(), config_).values.contains("processor"));
  EXPECT_FALSE(state_conditions(key(), config_).values.contains("host_kernel"));
  config_.accelerator = Accelerator::kvm;
  for (const auto& [key, told] : {std::pair("processor", "this is another processor"),
                                  std::pair("host_kernel", "this host runs another kernel")}) {
    write_manifest(config_);
    ASSERT_TRUE(find().state);
    change_condition(key);
    EXPECT_THAT(find().differences, ElementsAre(told));
  }
}

constexpr MachineConfig kFastest{.accelerator = Accelerator::kvm, .type = MachineType::microvm};

TEST_F(SavedStatesTest, AcceptsStateOfEachCandidate) {
  config_ = kFastest;
  for (const MachineConfig& config : monitor_.candidates(kFastest)) {
    write_manifest(config);
    const StateLookup found = find();
    ASSERT_TRUE(found.state);
    EXPECT_EQ(found.state->config, config);
  }
}

// Emulation is no security boundary: a state saved under emulation must not replace KVM.
TEST_F(SavedStatesTest, RejectsStateOfOtherAccelerator) {
  const MachineConfig shape_before = config_;
  config_ = kFastest;
  EXPECT_THAT(find().differences,
              Contains("a machine of another shape or accelerator is asked for"));
  write_manifest(config_);
  config_ = shape_before;
  EXPECT_THAT(find().differences,
              Contains("a machine of another shape or accelerator is asked for"));
}

TEST_F(SavedStatesTest, RejectsInvalidMachineInManifest) {
  json invalid = manifest();
  for (const json& kind : {json(), json("q35"), json::array(), json({{"type", "pc"}}),
                           json({{"accelerator", "kvm"}, {"type", "q35"}})}) {
    invalid["booted_on"] = kind;
    write_sealed(invalid);
    EXPECT_THAT(find().differences, ElementsAre("it does not say which machine it is of")) << kind;
  }
}

TEST_F(SavedStatesTest, ReportsStateOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else for a moment";
  fs::permissions(dir_.path(), fs::perms(0755));
  for (const char* const name : {kMemoryName, kDevicesName}) {
    fs::permissions(state() / name, fs::perms(0600));
  }
  ASSERT_EQ(::seteuid(65534), 0);
  const StateLookup found = find();
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_THAT(found.differences, ElementsAre("the saved state is another user's alone"));
}

TEST_F(SavedStatesTest, StateWritableByOthersIsHashedAgain) {
  for (const char* const name : {kMemoryName, kDevicesName, kManifestName}) {
    fs::permissions(state() / name, fs::perms(0666));
    EXPECT_TRUE(find().state) << name;
    EXPECT_EQ(fs::status(state() / name).permissions(), fs::perms(0644));
  }
}

// Of the same size and time: others may set that, too.
TEST_F(SavedStatesTest, StateChangedByOthersIsRejected) {
  const auto time = fs::last_write_time(state() / kMemoryName);
  write_file(state() / kMemoryName, std::string(4096, 'M'));
  fs::last_write_time(state() / kMemoryName, time);
  ASSERT_TRUE(find().state) << "nothing but its digest tells";
  fs::permissions(state() / kMemoryName, fs::perms(0666));
  EXPECT_THAT(find().differences,
              ElementsAre("others could write the saved state, and it is not as it was saved"));
  EXPECT_FALSE(find().state);
}

// As in a cache that was saved and restored.
TEST_F(SavedStatesTest, CopyOfEveryFileIsRecognizedByItsDigest) {
  for (const char* const name : {"vmlinux", "rootfs.ext4", "initrd.img", "monitor"}) {
    replace(dir_ / name, name);
  }
  replace(state() / kMemoryName, std::string(4096, 'm'));
  replace(state() / kDevicesName, "devices");
  open_files();
  ASSERT_TRUE(find().state);
  const json recorded = manifest();
  EXPECT_EQ(recorded["files"]["rootfs.ext4"]["identity"],
            StateFile(lease_.rootfs.get()).identity());
  ASSERT_TRUE(find().state);
  EXPECT_EQ(manifest(), recorded) << "compared once";
}

TEST_F(SavedStatesTest, OneReplacedFileAmongCopiesIsRejected) {
  for (const char* const name : {"vmlinux", "initrd.img", "monitor"}) replace(dir_ / name, name);
  replace(dir_ / "rootfs.ext4", "ROOTFS.EXT4");
  open_files();
  const json before = manifest();
  EXPECT_THAT(find().differences, ElementsAre("rootfs.ext4 was changed or replaced"));
  EXPECT_EQ(manifest(), before);
}

TEST_F(SavedStatesTest, StateOfMachineWithDiskNeedsItsDisk) {
  config_.disk_mib = 64;
  fs::rename(state(), SavedStates(layout_, options_).directory_of(key()));
  const fs::path directory = SavedStates(layout_, options_).directory_of(key());
  write_file(directory / kDiskName, "disk");
  const PreparedState saved{.config = config_,
                            .memory = open_to_read(directory / kMemoryName),
                            .devices = open_to_read(directory / kDevicesName),
                            .disk = open_to_read(directory / kDiskName)};
  json manifest = state_manifest(state_conditions(key(), config_), saved);
  StateSeal({.state_key = kKey}).seal(manifest);
  write_file(directory / kManifestName, manifest.dump());
  ASSERT_TRUE(find().state);
  EXPECT_TRUE(find().state->disk);
  replace(directory / kDiskName, "DISK");
  EXPECT_THAT(find().differences, ElementsAre("the saved state itself was changed"));
  fs::remove(directory / kDiskName);
  EXPECT_THAT(find().differences, ElementsAre("the saved state itself was changed"));
}

// The record says what was installed, which need not be what is there.
TEST_F(SavedStatesTest, RecordedDigestCountsOnlyForFileThatIsOlderThanRecord) {
  const Digest recorded = sha256("what was installed");
  lease_.installation.record.artifacts.emplace("rootfs.ext4",
                                               InstallRecord::Artifact{11, recorded});
  const auto digest = [&] {
    const StateConditions conditions = state_conditions(key(), config_);
    return conditions.files.at("rootfs.ext4").record("rootfs.ext4", {})["digest"];
  };
  EXPECT_NE(digest(), recorded.to_string()) << "there is no record";
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the clock of files is coarse
  write_file(dir_ / kRecordName, "{}");
  EXPECT_EQ(digest(), recorded.to_string());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const auto time = fs::last_write_time(dir_ / "rootfs.ext4");
  write_file(dir_ / "rootfs.ext4", "ROOTFS.EXT4");
  fs::last_write_time(dir_ / "rootfs.ext4", time);
  EXPECT_NE(digest(), recorded.to_string()) << "it was changed, and its time set back";
}

TEST_F(SavedStatesTest, KeyIsMadeOnceAndForItsUserAlone) {
  options_.state_key.clear();
  const SavedStates states(layout_, options_);
  states.require_key();
  const std::string key = testing::read_file(options_.state_key_file);
  EXPECT_EQ(key.size(), 65u);
  EXPECT_EQ(fs::status(options_.state_key_file).permissions(), fs::perms(0600));
  states.require_key();
  EXPECT_EQ(testing::read_file(options_.state_key_file), key);
  EXPECT_EQ(std::distance(fs::directory_iterator(options_.state_key_file.parent_path()), {}), 1);
}

TEST_F(SavedStatesTest, KeyThatOthersMayReadIsNotUsed) {
  options_.state_key.clear();
  fs::create_directories(options_.state_key_file.parent_path());
  write_file(options_.state_key_file, "sixteen bytes or more");
  fs::permissions(options_.state_key_file, fs::perms(0644));
  EXPECT_THAT(find().differences, ElementsAre(HasSubstr("others may read it")));
  EXPECT_THROW(SavedStates(layout_, options_).require_key(), Error);
  fs::permissions(options_.state_key_file, fs::perms(0600));
  EXPECT_TRUE(find().state);
}

TEST_F(SavedStatesTest, RejectsShortKeys) {
  options_.state_key = "fifteen bytes..";
  EXPECT_THROW(SavedStates(layout_, options_), Error);
  options_.state_key.clear();
  fs::create_directories(options_.state_key_file.parent_path());
  write_file(options_.state_key_file, "short\n");
  fs::permissions(options_.state_key_file, fs::perms(0600));
  EXPECT_THAT(find().differences, ElementsAre(HasSubstr("there is no key in")));
}

TEST_F(SavedStatesTest, WithoutHomeThereIsNoKey) {
  options_.state_key.clear();
  options_.state_key_file.clear();
  EXPECT_FALSE(find().state);
  EXPECT_THROW(SavedStates(layout_, options_).require_key(), Error);
}

TEST_F(SavedStatesTest, EachShapeAndBaseHasItsOwnState) {
  const SavedStates states(layout_, options_);
  EXPECT_EQ(states.directory_of(key()), state());
  config_ = {.cpus = 2, .memory_mib = 1024, .network = GuestNetwork::user};
  EXPECT_EQ(states.directory_of(key()).filename(), "2-1024-user");
  config_.disk_mib = 64;
  EXPECT_EQ(states.directory_of(key()).filename(), "2-1024-user-disk64");
  StateKey of_any_size = key();
  of_any_size.kind = StateKind::kernel;
  EXPECT_EQ(states.directory_of(of_any_size).filename(), "kernel-2-1024-user-disk");
  config_.disk_mib = 0;
  lease_.base = BaseRecord{.name = "debian:12"};
  EXPECT_EQ(states.directory_of(key()).filename(), "2-1024-user-debian_12");
  StateKey kernel = key();
  kernel.kind = StateKind::kernel;
  EXPECT_EQ(states.directory_of(kernel),
            layout_.prepared_state_dir("debian:12", "kernel-2-1024-user"));
  lease_.base = BaseRecord{.name = "/usr/lib/pyro/kernel"};
  EXPECT_EQ(states.directory_of(kernel), layout_.prepared_dir() / "@kernel/kernel-2-1024-user");
}

}  // namespace
}  // namespace pyro
