// Tests of the KVM probe and its stub kernel.
#include "machine/qemu/kvm_probe.h"

#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <thread>

#include "support/file_openings.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

/// What QEMU ends with when the guest has written its number.
constexpr const char* kGood = "exit 85";

class KvmProbeTest : public ::testing::Test {
 protected:
  KvmProbeTest() {
    fs::create_directory(probe_.cache_dir);
    testing::write_file(probe_.device, "");
    be(kGood);
  }

  /// Makes the monitor a new one, that opens a file each time it runs: it may write none.
  void be(const std::string& script) {
    fs::remove(probe_.monitor);
    testing::write_file(probe_.monitor,
                        "#!/bin/sh\n: < " + mark_.path().string() + '\n' + script + '\n');
    ::chmod(probe_.monitor.c_str(), 0755);
  }
  [[nodiscard]] std::size_t runs() { return mark_.count(); }
  [[nodiscard]] fs::path record() const { return probe_.cache_dir / "host/kvm.json"; }

  testing::TempDir dir_;
  testing::FileOpenings mark_{dir_ / "mark"};
  KvmProbe probe_{.cache_dir = dir_ / "cache",
                  .monitor = dir_ / "monitor",
                  .device = dir_ / "kvm",
                  .timeout = testing::kHang};
};

TEST_F(KvmProbeTest, MissingDeviceIsAbsentWithoutProbe) {
  fs::remove(probe_.device);
  const KvmReport report = probe_kvm(probe_);
  EXPECT_EQ(report.status, KvmStatus::absent);
  EXPECT_EQ(report.reason, "there is no /dev/kvm");
  EXPECT_EQ(runs(), 0u);
  EXPECT_FALSE(fs::exists(record()));
}

TEST_F(KvmProbeTest, DoesNotRememberDeniedAccess) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to be somebody else for a moment";
  fs::permissions(dir_.path(), fs::perms(0755));
  fs::permissions(probe_.device, fs::perms(0600));
  ASSERT_EQ(::seteuid(65534), 0);
  const KvmReport denied = probe_kvm(probe_);
  ASSERT_EQ(::seteuid(0), 0);
  EXPECT_EQ(denied.status, KvmStatus::denied);
  EXPECT_TRUE(probe_kvm(probe_).usable());
}

TEST_F(KvmProbeTest, IsUsableIfGuestRuns) {
  EXPECT_TRUE(probe_kvm(probe_).usable());
}

TEST_F(KvmProbeTest, IsBrokenIfGuestFails) {
  be("echo 'qemu: error: failed to set MSR'; exit 1");
  const KvmReport report = probe_kvm(probe_);
  EXPECT_EQ(report.status, KvmStatus::broken);
  EXPECT_THAT(report.reason, HasSubstr("runs no guest: qemu: error: failed to set MSR"));
}

TEST_F(KvmProbeTest, HungGuestTimesOut) {
  be("exec sleep 1000");
  probe_.timeout = 100ms;
  EXPECT_THAT(probe_kvm(probe_).reason, HasSubstr("never does anything"));
}

TEST_F(KvmProbeTest, IsBrokenIfGuestTakesProcessorForSeconds) {
  be("while :; do :; done");
  EXPECT_THAT(probe_kvm(probe_).reason, HasSubstr("slower than emulated ones"));
}

TEST_F(KvmProbeTest, SignalsDoNotEndWait) {
  struct sigaction note {};
  struct sigaction before {};
  note.sa_handler = [](int) {};  // without SA_RESTART
  ::sigaction(SIGUSR1, &note, &before);
  be("sleep 0.3; exit 85");
  std::jthread pest([waiting = ::pthread_self()](const std::stop_token& over) {
    while (!over.stop_requested()) {
      std::this_thread::sleep_for(20ms);
      ::pthread_kill(waiting, SIGUSR1);
    }
  });
  EXPECT_TRUE(probe_kvm(probe_).usable());
  pest = {};
  ::sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(KvmProbeTest, RemembersSuccessAndFailure) {
  for (const char* const script : {kGood, "exit 1"}) {
    be(script);
    const std::size_t before = runs();
    const KvmReport first = probe_kvm(probe_);
    const KvmReport second = probe_kvm(probe_);
    EXPECT_EQ(runs(), before + 1);
    EXPECT_FALSE(first.remembered);
    EXPECT_TRUE(second.remembered);
    EXPECT_EQ(second.status, first.status);
    EXPECT_EQ(second.reason, first.reason);
  }
}

TEST_F(KvmProbeTest, ProbesAgainAfterChangeOfMonitor) {
  static_cast<void>(probe_kvm(probe_));
  be("exit 1");
  EXPECT_FALSE(probe_kvm(probe_).usable());
}

TEST_F(KvmProbeTest, ProbesAgainAfterReboot) {
  be("exit 1");
  static_cast<void>(probe_kvm(probe_));
  std::string text = testing::read_file(record());
  const std::size_t id = text.find("boot_id");
  ASSERT_NE(id, text.npos);
  const std::size_t digit = text.find_first_of("0123456789abcdef", id + 10);
  text[digit] = text[digit] == '0' ? '1' : '0';
  testing::write_file(record(), text);
  EXPECT_FALSE(probe_kvm(probe_).remembered);
  EXPECT_EQ(runs(), 2u);
}

TEST_F(KvmProbeTest, ProbesAgainAfterAnEarlierKindOfProbe) {
  static_cast<void>(probe_kvm(probe_));
  std::string text = testing::read_file(record());
  text.replace(text.find("\"probe\""), 7, "\"other\"");
  testing::write_file(record(), text);
  EXPECT_FALSE(probe_kvm(probe_).remembered);
}

TEST_F(KvmProbeTest, IgnoresInvalidRecords) {
  fs::create_directory(record().parent_path());
  for (const char* const text : {"", "{", "[]", R"({"boot_id": 1})", R"({"usable": "yes"})"}) {
    testing::write_file(record(), text);
    EXPECT_FALSE(probe_kvm(probe_).remembered) << text;
  }
}

TEST_F(KvmProbeTest, LeavesNoOtherFileBesideRecord) {
  static_cast<void>(probe_kvm(probe_));
  EXPECT_EQ(testing::tree(record().parent_path()).size(), 1u);
}

TEST_F(KvmProbeTest, RemembersNothingWithoutCache) {
  for (const fs::path& cache : {fs::path(), dir_ / "none", probe_.device / "below-a-file"}) {
    probe_.cache_dir = cache;
    EXPECT_TRUE(probe_kvm(probe_).usable());
    EXPECT_FALSE(probe_kvm(probe_).remembered);
  }
  EXPECT_FALSE(fs::exists(dir_ / "none"));
}

TEST_F(KvmProbeTest, IsUntriedWithoutMonitor) {
  for (const fs::path& monitor : {fs::path(), dir_ / "none"}) {
    probe_.monitor = monitor;
    EXPECT_EQ(probe_kvm(probe_).status, KvmStatus::untried);
  }
}

template <typename Struct>
Struct at(const std::string& bytes, std::size_t offset) {
  Struct result{};
  EXPECT_LE(offset + sizeof result, bytes.size());
  if (offset + sizeof result <= bytes.size()) std::memcpy(&result, &bytes[offset], sizeof result);
  return result;
}

TEST(StubKernelTest, IsElfExecutableForX86) {
  const auto header = at<Elf64_Ehdr>(stub_kernel(), 0);
  EXPECT_EQ(std::memcmp(header.e_ident, ELFMAG, SELFMAG), 0);
  EXPECT_EQ(header.e_ident[EI_CLASS], ELFCLASS64);
  EXPECT_EQ(header.e_machine, EM_X86_64);
  EXPECT_EQ(header.e_type, ET_EXEC);
  EXPECT_EQ(header.e_phentsize, sizeof(Elf64_Phdr));
}

TEST(StubKernelTest, SegmentsAreWithinFile) {
  const std::string kernel = stub_kernel();
  const auto header = at<Elf64_Ehdr>(kernel, 0);
  ASSERT_EQ(header.e_phnum, 2);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    const auto segment = at<Elf64_Phdr>(kernel, header.e_phoff + i * sizeof(Elf64_Phdr));
    EXPECT_LE(segment.p_offset + segment.p_filesz, kernel.size());
  }
}

TEST(StubKernelTest, NoteNamesEntryPoint) {
  const std::string kernel = stub_kernel();
  const auto header = at<Elf64_Ehdr>(kernel, 0);
  const auto load = at<Elf64_Phdr>(kernel, header.e_phoff);
  const auto note = at<Elf64_Phdr>(kernel, header.e_phoff + sizeof(Elf64_Phdr));
  EXPECT_EQ(load.p_type, PT_LOAD);
  EXPECT_EQ(note.p_type, PT_NOTE);
  EXPECT_EQ(kernel.substr(note.p_offset + sizeof(Elf64_Nhdr), 4), std::string("Xen\0", 4));
  const auto entry = at<std::uint64_t>(kernel, note.p_offset + sizeof(Elf64_Nhdr) + 4);
  EXPECT_EQ(entry, header.e_entry);
  constexpr std::size_t kLoop = 8;
  // mov al, kStubNumber; out kStubPort, al
  EXPECT_EQ(kernel.substr(entry - load.p_paddr + kLoop, 4), "\xb0\x2a\xe6\xf4");
}

}  // namespace

}  // namespace pyro
