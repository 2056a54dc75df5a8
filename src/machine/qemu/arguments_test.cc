// Tests of QEMU's command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "machine/qemu/monitor_process.h"
#include "machine/qemu/qemu.h"

namespace pyro {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;
using ::testing::Not;
using ::testing::StartsWith;

using Case = std::tuple<Accelerator, MachineType, GuestNetwork, QemuStart>;

class QemuArgumentsTest : public ::testing::TestWithParam<Case> {
 protected:
  QemuArgumentsTest() {
    std::tie(config_.accelerator, config_.type, config_.network, start_) = GetParam();
    words_ = qemu_arguments(config_, start_);
  }

  MachineConfig config_;
  QemuStart start_{};
  std::vector<std::string> words_;
};

TEST_P(QemuArgumentsTest, DisablesDefaultDevicesAndUserConfig) {
  EXPECT_THAT(words_, IsSupersetOf({"-nodefaults", "-no-user-config", "-no-reboot"}));
}

TEST_P(QemuArgumentsTest, DisablesSlowFeaturesUnderEmulationOnly) {
  const bool emulated = config_.accelerator == Accelerator::tcg;
  const auto processor = std::ranges::find(words_, "-cpu");
  const auto kernel = std::ranges::find(words_, "-append");
  ASSERT_TRUE(processor != words_.end() && kernel != words_.end());
  EXPECT_EQ(std::next(processor)->find("erms=off") != std::string::npos, emulated);
  for (const char* const word : {"noreplace-smp", "no_timer_check", "psi=0", "lsm="}) {
    EXPECT_EQ(std::next(kernel)->find(word) != std::string::npos, emulated) << word;
  }
}

TEST_P(QemuArgumentsTest, SandboxOptionDeniesEverything) {
  const auto option = std::ranges::find(words_, "-sandbox");
  ASSERT_NE(option, words_.end());
  for (const char* part :
       {"on", "obsolete=deny", "elevateprivileges=deny", "spawn=deny", "resourcecontrol=deny"}) {
    EXPECT_THAT(*std::next(option), HasSubstr(part));
  }
}

TEST_P(QemuArgumentsTest, PassesFilesAsDescriptors) {
  for (const std::string& word : words_) {
    for (std::size_t slash = word.find('/'); slash != word.npos; slash = word.find('/', slash)) {
      const std::string rest = word.substr(slash);
      EXPECT_TRUE(rest.starts_with("/proc/self/fd/") || rest.starts_with("/dev/fdset/1")) << word;
      slash = std::min(word.find(',', slash), word.size());
    }
  }
}

TEST_P(QemuArgumentsTest, DiskIsReadOnly) {
  const auto disk = std::ranges::find(words_, "-blockdev");
  ASSERT_NE(disk, words_.end());
  EXPECT_THAT(*std::next(disk), HasSubstr("read-only=on"));
}

TEST_P(QemuArgumentsTest, HasNetworkOnlyOnRequest) {
  const bool wanted = config_.network == GuestNetwork::user;
  EXPECT_EQ(std::ranges::count(words_, "-netdev"), wanted ? 1 : 0);
  EXPECT_EQ(std::ranges::count_if(
                words_, [](const std::string& word) { return word.starts_with("virtio-net"); }),
            wanted ? 1 : 0);
}

TEST_P(QemuArgumentsTest, SharesMemoryOnlyIfStateIsSaved) {
  const auto memory = std::ranges::find_if(
      words_, [](const std::string& word) { return word.starts_with("memory-backend-file"); });
  ASSERT_EQ(memory == words_.end(), start_ == QemuStart::boot);
  if (memory == words_.end()) return;
  EXPECT_THAT(*memory, HasSubstr(start_ == QemuStart::resume ? "share=off" : "share=on"));
}

TEST_P(QemuArgumentsTest, HasControlChannelOnlyForStates) {
  EXPECT_EQ(std::ranges::count(words_, "-mon"), start_ == QemuStart::boot ? 0 : 1);
}

TEST_P(QemuArgumentsTest, UsesChosenAccelerator) {
  const auto accelerator = std::ranges::find(words_, "-accel");
  ASSERT_NE(accelerator, words_.end());
  EXPECT_THAT(*std::next(accelerator), StartsWith(std::string(to_string(config_.accelerator))));
}

INSTANTIATE_TEST_SUITE_P(
    Machines, QemuArgumentsTest,
    ::testing::Combine(::testing::Values(Accelerator::tcg, Accelerator::kvm),
                       ::testing::Values(MachineType::q35, MachineType::microvm),
                       ::testing::Values(GuestNetwork::none, GuestNetwork::user),
                       ::testing::Values(QemuStart::boot, QemuStart::boot_to_save,
                                         QemuStart::resume, QemuStart::resume_to_save)));

TEST(QemuCommandLineTest, PortHasNameThatGuestExpects) {
  EXPECT_THAT(qemu_arguments({}, QemuStart::boot),
              Contains(HasSubstr("virtserialport,chardev=channel,name=pyro.guest")));
}

TEST(QemuCommandLineTest, HasRequestedProcessorsAndMemory) {
  const auto words = qemu_arguments({.cpus = 3, .memory_mib = 777}, QemuStart::resume);
  EXPECT_THAT(words, Contains("3"));
  EXPECT_THAT(words, Contains("777"));
  EXPECT_THAT(words, Contains(HasSubstr("size=777M")));
}

std::string value_of(const std::vector<std::string>& words, const char* option) {
  const auto found = std::ranges::find(words, option);
  return found == words.end() ? "" : *std::next(found);
}

TEST(QemuCommandLineTest, KvmProbeUsesOptionsOfMicrovm) {
  const auto probe = qemu_probe_arguments();
  const auto machine = qemu_arguments(
      {.accelerator = Accelerator::kvm, .type = MachineType::microvm}, QemuStart::boot);
  for (const char* const option : {"-machine", "-accel", "-cpu", "-smp", "-sandbox"}) {
    EXPECT_NE(value_of(probe, option), "") << option;
    EXPECT_EQ(value_of(probe, option), value_of(machine, option)) << option;
  }
}

TEST(QemuCommandLineTest, OnlyScratchDiskIsWritten) {
  constexpr const char* kScratch = "node-name=scratch";
  EXPECT_THAT(qemu_arguments({}, QemuStart::boot), Not(Contains(HasSubstr(kScratch))));
  const auto words = qemu_arguments({.disk_mib = 64}, QemuStart::resume);
  EXPECT_THAT(words, Contains(AllOf(HasSubstr("node-name=rootfs"), HasSubstr("read-only=on"))));
  EXPECT_THAT(words, Contains(AllOf(HasSubstr(kScratch), Not(HasSubstr("read-only")))));
  // By default QEMU stops a machine whose disk has no room on the host.
  EXPECT_THAT(words, Contains(AllOf(HasSubstr("serial=scratch"), HasSubstr("werror=report"))));
}

TEST(QemuCommandLineTest, KeptDiskIsFlushed) {
  const MachineConfig config{.disk_mib = 64};
  EXPECT_THAT(qemu_arguments(config, QemuStart::boot),
              Contains(AllOf(HasSubstr("node-name=scratch"), HasSubstr("no-flush=on"))));
  EXPECT_THAT(qemu_arguments(config, QemuStart::boot, {.keeps_scratch = true}),
              Contains(AllOf(HasSubstr("node-name=scratch"), HasSubstr("no-flush=off"))));
}

TEST(QemuCommandLineTest, ResumedMachineHasNoInitramfs) {
  EXPECT_EQ(value_of(qemu_arguments({}, QemuStart::resume), "-initrd"), "");
  EXPECT_NE(value_of(qemu_arguments({}, QemuStart::boot), "-initrd"), "");
}

TEST(QemuCommandLineTest, ReadsStateFromDescriptor) {
  const int number = kFirstMonitorDescriptor + static_cast<int>(QemuDescriptor::devices);
  EXPECT_THAT(qemu_resume_commands(), HasSubstr("fd:" + std::to_string(number)));
  EXPECT_THAT(qemu_resume_commands(), Not(HasSubstr("/")));
}

TEST(QemuLabel, CommasAreDoubled) {
  const std::string label = machine_label("r.example/a,b:1", MachineStart::kernel_state);
  EXPECT_EQ(label, "pyro/kernel/r.example/a,b:1");
  EXPECT_EQ(value_of(qemu_arguments({}, QemuStart::boot, {.label = label}), "-name"),
            "pyro/kernel/r.example/a,,b:1");
}

}  // namespace
}  // namespace pyro
