// Tests of the order in which machine configs are tried.
#include "machine/launch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <thread>

#include "machine/fake_guest.h"
#include "machine/guest_requests.h"
#include "machine/qemu/qemu.h"
#include "machine/state_save.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using namespace std::chrono_literals;

constexpr MachineConfig kTcg{};
constexpr MachineConfig kKvm{.accelerator = Accelerator::kvm};
constexpr MachineConfig kMicro{.accelerator = Accelerator::kvm, .type = MachineType::microvm};

void come_up(FakeGuest& guest) {
  guest.say_fixed(guest::FrameType::waiting,
                  guest::WaitingPayload{.version = guest::kProtocolVersion, .disk_is_free = 1});
  guest.say_fixed(guest::FrameType::ready, guest::NumberPayload{guest::kProtocolVersion});
}
void keep_still(FakeGuest&) {}
void panic(FakeGuest& guest) {
  guest.end("Kernel panic");
}
void complain(FakeGuest& guest) {
  guest.end("failed to set MSR", {Loss::monitor, {}});
}
void give_up(FakeGuest& guest) {
  guest.say(guest::FrameType::fatal_error, "no disk");
}

using Behaviour = void (*)(FakeGuest&);

/// Behaves as `tries` say, one after the other.
class FakeMonitor : public Qemu {
 public:
  FakeMonitor(const fs::path& program, std::vector<Behaviour> tries,
              std::vector<MachineConfig>& tried)
      : Qemu(program), tries_(std::move(tries)), tried_(tried) {}

  std::unique_ptr<VirtualMachine> boot(const MachineConfig& config, const MachineFiles&,
                                       std::optional<int> memory) override {
    if (memory) {
      char byte = 0;
      EXPECT_EQ(::lseek(*memory, 0, SEEK_END), static_cast<off_t>(config.memory_bytes()));
      EXPECT_EQ(::pread(*memory, &byte, 1, 0), 1);
      EXPECT_EQ(byte, 0) << "something of another machine is in its memory";
      EXPECT_EQ(::pwrite(*memory, "x", 1, 0), 1);
    }
    return next(config);
  }
  std::unique_ptr<VirtualMachine> resume(const MachineConfig& config, const MachineFiles&,
                                         const StateFiles&, bool, const ControlTimeout&) override {
    return next(config);
  }

 private:
  std::unique_ptr<VirtualMachine> next(const MachineConfig& config) {
    auto guest = std::make_unique<FakeGuest>();
    tries_.at(tried_.size())(*guest);
    tried_.push_back(config);
    return guest;
  }

  std::vector<Behaviour> tries_;
  std::vector<MachineConfig>& tried_;
};

class Warnings : public ProgressListener {
 public:
  void warning(std::string_view text) noexcept override { heard_.emplace_back(text); }
  [[nodiscard]] const std::vector<std::string>& heard() const noexcept { return heard_; }

 private:
  std::vector<std::string> heard_;
};

class LaunchTest : public ::testing::Test {
 protected:
  LaunchTest() {
    fs::create_directory(dir_ / "cache");
    testing::write_file(options_.monitor, "a monitor");
    lease_.kernel = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    lease_.rootfs = Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }

  Launcher launcher(std::vector<Behaviour> tries) {
    return {store_,   "debian:12",
            options_, &warnings_,
            {},       std::make_unique<FakeMonitor>(options_.monitor, std::move(tries), tried_)};
  }
  MachineConfig boot(const MachineConfig& asked, std::vector<Behaviour> tries,
                     std::optional<int> memory = std::nullopt) {
    tried_.clear();
    return launcher(std::move(tries)).boot(asked, lease_, memory).config;
  }
  static StoreOptions options_of_store(const fs::path& cache) {
    StoreOptions options;
    options.cache_dir = cache;
    return options;
  }

  testing::TempDir dir_;
  EnvironmentStore store_{options_of_store(dir_ / "cache")};
  MachineOptions options_{.monitor = dir_ / "monitor",
                          .boot_timeout = testing::kHang,
                          .state_key = "sixteen bytes or more"};
  const Qemu monitor_{options_.monitor};
  InstallLease lease_;
  Warnings warnings_;
  std::vector<MachineConfig> tried_;
};

TEST_F(LaunchTest, UsesFirstConfigThatBoots) {
  EXPECT_EQ(boot(kMicro, {come_up}), kMicro);
  EXPECT_THAT(warnings_.heard(), IsEmpty());
}

TEST_F(LaunchTest, SilentGuestFailsAfterBootTimeout) {
  options_.boot_timeout = 1s;
  try {
    boot(kTcg, {keep_still});
    FAIL() << "it came up";
  } catch (const MachineLost& lost) {
    EXPECT_STREQ(lost.what(), kNoSign);
    EXPECT_THAT(lost.hint(), HasSubstr("it had 1 s to boot"));
  }
}

TEST_F(LaunchTest, RejectsProcessorsAndMemoryOutOfRange) {
  const auto code_for = [&](unsigned cpus, unsigned memory_mib) -> std::optional<ErrorCode> {
    options_.cpus = cpus;
    options_.memory_mib = memory_mib;
    try {
      boot(kTcg, {come_up});
    } catch (const Error& error) {
      return error.code();
    }
    return std::nullopt;
  };
  EXPECT_EQ(code_for(0, 512), ErrorCode::usage);
  EXPECT_EQ(code_for(kMaxCpus + 1, 512), ErrorCode::usage);
  EXPECT_EQ(code_for(1, kMinMemoryMib - 1), ErrorCode::usage);
  EXPECT_EQ(code_for(1, kMaxMemoryMib + 1), ErrorCode::usage);
  EXPECT_EQ(code_for(kMaxCpus, kMaxMemoryMib), std::nullopt);
}

TEST_F(LaunchTest, TriesEmulatedMachineOnce) {
  options_.boot_timeout = 1s;
  for (const Behaviour behaviour : {panic, complain, keep_still}) {
    EXPECT_THROW(boot(kTcg, {behaviour}), MachineLost);
    EXPECT_THAT(tried_, ElementsAre(kTcg));
  }
}

TEST_F(LaunchTest, DoesNotRetryAfterFatalErrorOfGuest) {
  EXPECT_THROW(boot(kMicro, {give_up}), Error);
  EXPECT_THAT(tried_, ElementsAre(kMicro));
}

TEST_F(LaunchTest, FallsBackFromMicrovmToQ35UnderKvm) {
  options_.boot_timeout = 1s;
  for (const Behaviour behaviour : {panic, complain, keep_still}) {
    EXPECT_EQ(boot(kMicro, {behaviour, come_up}), kKvm);
    EXPECT_THAT(tried_, ElementsAre(kMicro, kKvm));
  }
}

TEST_F(LaunchTest, DoesNotFallBackFromKvmToEmulation) {
  options_.boot_timeout = 1s;
  for (const Behaviour first : {panic, complain, keep_still}) {
    for (const Behaviour second : {panic, complain, keep_still}) {
      EXPECT_THROW(boot(kMicro, {first, second, come_up}), MachineLost);
      EXPECT_THAT(tried_, ElementsAre(kMicro, kKvm));
      EXPECT_FALSE(fs::exists(dir_ / "cache/host/kvm.json")) << "nor does that say anything of KVM";
    }
  }
}

TEST_F(LaunchTest, KvmFailureHintNamesPyroKvmOff) {
  const auto hint = [&] {
    try {
      boot(kMicro, {complain, complain});
    } catch (const MachineLost& lost) {
      return lost.hint();
    }
    return std::string("none");
  };
  EXPECT_THAT(hint(), HasSubstr("PYRO_KVM=off"));
  options_.kvm = KvmUse::required;
  EXPECT_EQ(hint(), "");
}

TEST_F(LaunchTest, ErrorNamesMissingMonitor) {
  options_.monitor.clear();
  try {
    const Launcher launcher(store_, "debian:12", options_, nullptr, {});
    FAIL() << "there is a launcher";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::failed);
    EXPECT_STREQ(error.what(), "there is no qemu-system-x86_64 in the directories of $PATH");
    EXPECT_THAT(error.hint(), HasSubstr("PYRO_QEMU"));
  }
}

TEST_F(LaunchTest, BrokenRequiredKvmIsAnError) {
  fs::create_directories(dir_ / "cache/host");
  testing::write_file(options_.monitor, "#!/bin/sh\necho 'no such thing'; exit 1\n");
  fs::permissions(options_.monitor, fs::perms(0755));
  options_.kvm = KvmUse::required;
  try {
    static_cast<void>(config_for(options_, EnvironmentKind::environment, Qemu(options_.monitor),
                                 CacheLayout(dir_ / "cache")));
    FAIL() << "there is a machine";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::failed);
    EXPECT_THAT(error.what(), HasSubstr("KVM is required and does not work here"));
  }
  EXPECT_EQ(machine_readiness(store_, "debian:12", options_).readiness, Readiness::cold);
}

TEST_F(LaunchTest, WarnsOfTooManyProcessorsUnderEmulation) {
  options_.kvm = KvmUse::never;
  options_.cpus = 1;
  static_cast<void>(launcher({}).config());
  EXPECT_THAT(warnings_.heard(), IsEmpty());
  options_.cpus = kMaxCpus;
  static_cast<void>(launcher({}).config());
  EXPECT_THAT(warnings_.heard(), ElementsAre(HasSubstr("a machine of 64 processors is slow")));
}

struct Ending {
  const char* name;
  const char* script;
  Loss loss;
  const char* told;

  friend void PrintTo(const Ending& self, std::ostream* out) { *out << self.name; }
};

class MonitorEndingTest : public LaunchTest, public ::testing::WithParamInterface<Ending> {};

TEST_P(MonitorEndingTest, ErrorNamesCauseOfEnd) {
  testing::write_file(options_.monitor, std::string("#!/bin/sh\n") + GetParam().script + '\n');
  fs::permissions(options_.monitor, fs::perms(0755));
  if (GetParam().loss == Loss::silence) options_.boot_timeout = 100ms;
  Launcher launcher(store_, "debian:12", options_, &warnings_, {});
  try {
    static_cast<void>(launcher.boot(kTcg, lease_));
    FAIL() << "it came up";
  } catch (const MachineLost& lost) {
    EXPECT_EQ(lost.loss(), GetParam().loss) << lost.what();
    EXPECT_THAT(lost.what(), HasSubstr(GetParam().told));
  }
  EXPECT_THAT(warnings_.heard(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(
    Endings, MonitorEndingTest,
    ::testing::Values(Ending{"Silence", "exec sleep 1000", Loss::silence, kNoSign},
                      Ending{"EndOfGuest", "exit 0", Loss::end, "exited with status 0"},
                      Ending{"Failure", "echo no; exit 1", Loss::monitor, "ended: no"},
                      Ending{"SilentFailure", "exit 3", Loss::monitor, "exited with status 3"},
                      Ending{"Killed", "echo last; kill -KILL $$", Loss::monitor,
                             "ended: the machine monitor was killed (SIGKILL): last"},
                      Ending{"Signal", "kill -BUS $$", Loss::monitor,
                             "the machine monitor died of signal 7 (Bus error)"}),
    [](const auto& row) { return row.param.name; });

TEST_F(LaunchTest, EachTryGetsZeroedMemory) {
  const Fd memory(::open((dir_ / "memory").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  boot(kMicro, {panic, come_up}, memory.get());
}

void talk_nonsense(FakeGuest& guest) {
  guest.say_bytes("\xff\xff\xff\xff and so on");
}

TEST_F(LaunchTest, FailedResumeOfAnyCauseWarns) {
  const PreparedState state{.config = kTcg, .memory = make_memory_file("test"), .devices = {}};
  for (const Behaviour behaviour : {panic, complain, give_up, talk_nonsense}) {
    tried_.clear();
    EXPECT_FALSE(launcher({behaviour}).try_resume(lease_, state));
    EXPECT_THAT(warnings_.heard().back(), HasSubstr("the prepared state does not work ("));
  }
  EXPECT_EQ(warnings_.heard().size(), 4u);
}

TEST_F(LaunchTest, ResumesOnConfigOfState) {
  const PreparedState state{.config = kKvm, .memory = make_memory_file("test"), .devices = {}};
  EXPECT_EQ(launcher({come_up}).resume(lease_, state).config, kKvm);
  EXPECT_THAT(tried_, ElementsAre(kKvm));
}

// --- kernel states ---

void come_up_with_built_in_driver(FakeGuest& guest) {
  guest.say_fixed(guest::FrameType::waiting,
                  guest::WaitingPayload{.version = guest::kProtocolVersion});
  guest.say_fixed(guest::FrameType::ready, guest::NumberPayload{guest::kProtocolVersion});
}
void come_up_unsavable(FakeGuest& guest) {
  guest.fail_saves();
  come_up(guest);
}
void come_up_in_version_2(FakeGuest& guest) {
  guest.say_fixed(guest::FrameType::waiting, guest::WaitingPayload{.version = 2});
}
void resume(FakeGuest& guest) {
  guest.say_fixed(guest::FrameType::ready, guest::NumberPayload{guest::kProtocolVersion});
}

void answer_something_else(FakeGuest& guest) {
  resume(guest);
  guest.answer(guest::FrameType::probe, guest::FrameType::exited);
}

class KernelStateTest : public LaunchTest {
 protected:
  KernelStateTest() {
    replace_kernel("a kernel");
    lease_.installation.record.name = "debian:12";
  }

  void replace_kernel(std::string_view content) {
    fs::remove(dir_ / "vmlinux");
    testing::write_file(dir_ / "vmlinux", content);
    lease_.kernel = Fd(::open((dir_ / "vmlinux").c_str(), O_RDONLY | O_CLOEXEC));
  }
  /// How the machine of a run starts.
  MachineStart start(std::vector<Behaviour> tries) {
    tried_.clear();
    return launcher(std::move(tries)).start(kTcg, lease_).start;
  }
  [[nodiscard]] fs::path state_of(const StateKey& key) const {
    const CacheLayout layout(dir_ / "cache");
    return SavedStates(layout, options_).directory_of(key);
  }
  [[nodiscard]] fs::path state() const {
    return dir_ / "cache/prepared/debian_12/kernel-1-512-none";
  }
};

TEST_F(KernelStateTest, FirstBootLeavesStateForAllThatBootTheKernel) {
  EXPECT_EQ(start({come_up}), MachineStart::boot);
  EXPECT_EQ(tried_.size(), 1u) << "the machine that was saved goes on";
  lease_.rootfs = Fd(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  lease_.installation.record.name = "another:1";
  lease_.base = BaseRecord{.name = "debian:12"};
  EXPECT_EQ(start({resume}), MachineStart::kernel_state);
  EXPECT_THAT(warnings_.heard(), IsEmpty());
}

TEST_F(KernelStateTest, OtherKernelShapeOrChangedFileBootsAgain) {
  start({come_up});
  replace_kernel("another kernel");
  EXPECT_EQ(start({come_up}), MachineStart::boot);
  EXPECT_EQ(start({resume}), MachineStart::kernel_state);
  testing::write_file(state() / "memory", "another memory");
  EXPECT_EQ(start({come_up}), MachineStart::boot);
  EXPECT_EQ(start({resume}), MachineStart::kernel_state);
  MachineConfig larger = kTcg;
  larger.memory_mib = 1024;
  tried_.clear();
  EXPECT_EQ(launcher({come_up}).start(larger, lease_).start, MachineStart::boot);
}

TEST_F(KernelStateTest, StateThatDoesNotResumeIsReplaced) {
  start({come_up});
  EXPECT_EQ(start({panic, come_up}), MachineStart::boot);
  EXPECT_THAT(warnings_.heard(), ElementsAre(HasSubstr("the kernel's state does not work")));
}

void come_up_and_answer(FakeGuest& guest) {
  come_up(guest);
  guest.answer(guest::FrameType::probe, guest::FrameType::done);
}

TEST_F(KernelStateTest, SecondRunLeavesPreparedState) {
  lease_.installation.record.kind = EnvironmentKind::container;
  const StateKey key{lease_, kTcg, monitor_};
  const CacheLayout layout(dir_ / "cache");
  const SavedStates states(layout, options_);
  EXPECT_FALSE(states.was_started_before(key));
  EXPECT_TRUE(states.was_started_before(key));
  EXPECT_EQ(launcher({come_up}).start_and_prepare(key).start, MachineStart::boot)
      << "the state of the kernel comes first";
  EXPECT_FALSE(states.find(key).exists);
  tried_.clear();
  EXPECT_EQ(launcher({come_up_and_answer}).start_and_prepare(key).start,
            MachineStart::kernel_state);
  EXPECT_TRUE(states.find(key).state);
  EXPECT_THAT(warnings_.heard(), IsEmpty());
}

TEST_F(KernelStateTest, MachineThatCannotBePreparedIsReplaced) {
  lease_.installation.record.kind = EnvironmentKind::container;
  start({come_up});
  const StateKey key{lease_, kTcg, monitor_};
  const auto fail = [](FakeGuest& guest) {
    guest.fail_saves();
    come_up_and_answer(guest);
  };
  tried_.clear();
  EXPECT_EQ(launcher({fail, come_up}).start_and_prepare(key).start, MachineStart::kernel_state);
  EXPECT_EQ(tried_.size(), 2u);
  EXPECT_THAT(warnings_.heard(), ElementsAre(HasSubstr("the machine is not saved (no state")));
  EXPECT_FALSE(fs::exists(state_of(key)));
}

TEST_F(KernelStateTest, MachineThatFailsItsWarmUpIsUsedAndNotSaved) {
  lease_.installation.record.kind = EnvironmentKind::container;
  start({come_up});
  const StateKey key{lease_, kTcg, monitor_};
  tried_.clear();
  EXPECT_EQ(launcher({answer_something_else}).start_and_prepare(key).start,
            MachineStart::kernel_state);
  EXPECT_EQ(tried_.size(), 1u);
  EXPECT_FALSE(fs::exists(state_of(key)));
}

TEST_F(KernelStateTest, SaveThatFailsIsWarningAndBoot) {
  EXPECT_EQ(start({come_up_unsavable, come_up}), MachineStart::boot);
  EXPECT_THAT(warnings_.heard(),
              ElementsAre(HasSubstr("the state of the kernel is not saved (no state for you)")));
}

TEST_F(KernelStateTest, BootThatFailsIsNotTriedAgain) {
  EXPECT_THROW(start({panic, come_up}), MachineLost);
  EXPECT_THAT(tried_, ElementsAre(kTcg));
  EXPECT_THROW(start({come_up_in_version_2}), Error);
  EXPECT_FALSE(fs::exists(state()));
}

TEST_F(KernelStateTest, KernelWithBuiltInDriverGetsNone) {
  EXPECT_EQ(start({come_up_with_built_in_driver}), MachineStart::boot);
  EXPECT_EQ(fs::file_size(state() / "memory"), 0u);
  EXPECT_EQ(start({come_up_with_built_in_driver}), MachineStart::boot);
  EXPECT_EQ(tried_.size(), 1u);
}

TEST_F(KernelStateTest, NoneIsLeftWhereItIsNotWantedOrCannotBe) {
  options_.saves_states = false;
  EXPECT_EQ(start({come_up}), MachineStart::boot);
  EXPECT_FALSE(fs::exists(dir_ / "cache/prepared"));
  options_.saves_states = true;
  testing::write_file(dir_ / "cache/prepared", "");
  EXPECT_EQ(start({come_up}), MachineStart::boot);
  EXPECT_THAT(warnings_.heard(), IsEmpty());
}

TEST_F(KernelStateTest, TwoFirstBootsAtOnceLeaveOneState) {
  const auto boot_by_itself = [&] {
    std::vector<MachineConfig> tried;
    Launcher launcher{
        store_,
        "debian:12",
        options_,
        nullptr,
        {},
        std::make_unique<FakeMonitor>(options_.monitor, std::vector<Behaviour>{come_up}, tried)};
    EXPECT_NO_THROW(static_cast<void>(launcher.start(kTcg, lease_)));
  };
  std::thread other(boot_by_itself);
  boot_by_itself();
  other.join();
  EXPECT_EQ(start({resume}), MachineStart::kernel_state);
  EXPECT_TRUE(fs::is_empty(dir_ / "cache/staging"));
}

}  // namespace
}  // namespace pyro
