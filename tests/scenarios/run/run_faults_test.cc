// Machines that cannot start and guests that fail: a clear error, and nothing left behind.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <functional>
#include <memory>

#include "scenarios/machine_harness.h"
#include "scenarios/private_mount.h"
#include "support/background_process.h"
#include "support/file_descriptor.h"
#include "support/hash.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class RunFaultsTest : public MachineHarness {
 protected:
  static void replace(const fs::path& file, std::string_view bytes) {
    fs::remove(file);
    write_file(file, bytes);
  }

  void expect_no_litter() const {
    const fs::path staging = cache() / "staging";
    EXPECT_TRUE(!fs::exists(staging) || fs::is_empty(staging));
  }
};

TEST_F(RunFaultsTest, ReportsMissingQemu) {
  for (const char* const path : {"/nonexistent", "/etc/passwd", "/tmp"}) {
    variables_["PYRO_QEMU"] = path;
    const ProcessResult result = run_in_guest({"true"});
    EXPECT_EQ(result.exit_code, 125) << path;
    expect_says(result.err, {path});
  }
  variables_["PYRO_QEMU"] = "";
  expect_says(run_in_guest({"true"}).err,
              {"there is no qemu-system-x86_64", "apt install qemu-system-x86"});
}

TEST_F(RunFaultsTest, NetworkWithoutPasstIsAnErrorThatNamesTheOther) {
  variables_["PATH"] = dir_.path().string();
  const ProcessResult result = run_in_guest({"true"}, {"--network", "user"});
  EXPECT_EQ(result.exit_code, 125);
  expect_says(result.err, {"there is no passt", "apt install passt", "--network user+host"});
}

// Its passt answers once, and ends.
TEST_F(RunFaultsTest, MachineOutlivesItsNetwork) {
  const fs::path bin = dir_ / "bin";
  fs::create_directory(bin);
  write_file(bin / "passt", R"(#!/bin/sh
printf '\000\000\000\052............\010\006\000\001\010\000\006\004\000\002....................' >&3
)");
  fs::permissions(bin / "passt", fs::perms(0755));
  variables_["PATH"] = bin.string();
  const ProcessResult result =
      run_script("sleep 1; ls /sys/class/net; exit 4", {"--network", "user"});
  EXPECT_EQ(result.exit_code, 4) << result.err;
  EXPECT_EQ(result.out, "eth0\nlo\n");
}

TEST_F(RunFaultsTest, TakenPortIsAnErrorBeforeTheStart) {
  const FileDescriptor taken(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(taken.get(), generic, size), 0);
  ASSERT_EQ(::listen(taken.get(), 1), 0);
  ASSERT_EQ(::getsockname(taken.get(), generic, &size), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  const ProcessResult result = run_in_guest({"true"}, {"--publish", port + ":80"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_EQ(result.err,
            "pyro: error: cannot listen at 127.0.0.1:" + port + ": Address already in use\n");
  EXPECT_EQ(run_in_guest({"true"}, {"--publish", "80:"}).exit_code, 125);
}

struct BadMonitor {
  const char* name;
  const char* script;
  std::vector<std::string> told;

  friend void PrintTo(const BadMonitor& self, std::ostream* out) { *out << self.name; }
};

class BadMonitorTest : public RunFaultsTest, public ::testing::WithParamInterface<BadMonitor> {};

TEST_P(BadMonitorTest, ErrorNamesTheCause) {
  write_file(dir_ / "monitor", std::string("#!/bin/sh\n") + GetParam().script + '\n');
  fs::permissions(dir_ / "monitor", fs::perms(0755));
  variables_["PYRO_QEMU"] = (dir_ / "monitor").string();
  const ProcessResult result = run_in_guest({"true"}, {"--cold"});
  EXPECT_EQ(result.exit_code, 125);
  expect_says(result.err, GetParam().told);
}

INSTANTIATE_TEST_SUITE_P(
    Monitors, BadMonitorTest,
    ::testing::Values(
        BadMonitor{"Fails", "exit 1", {"the machine ended", "exited with status 1"}},
        BadMonitor{"Succeeds", "exit 0", {"the machine ended", "exited with status 0"}},
        BadMonitor{
            "IsKilled", "kill -9 $$", {"was killed (SIGKILL)", "ran out of memory", "--memory"}},
        BadMonitor{"Crashes", "kill -SEGV $$", {"died of signal 11 (Segmentation fault)"}}),
    row_name);

TEST_F(RunFaultsTest, ReportsTooFewDescriptors) {
  for (const int limit : {10, 16, 64}) {
    Command limited = run_command({"true"});
    limited.argv.insert(
        limited.argv.begin(),
        {"/bin/sh", "-c", "ulimit -n " + std::to_string(limit) + "; exec \"$@\"", "sh"});
    const ProcessResult result = run(limited);
    EXPECT_EQ(result.exit_code, limit < 64 ? 125 : 0) << limit << result.err;
    EXPECT_THAT(result.err, HasSubstr(limit < 64 ? "Too many open files" : ""));
  }
}

TEST_F(RunFaultsTest, ReportsMissingNullDevice) {
  const std::vector<std::string> privately{"/usr/bin/unshare", "--map-root-user", "--mount"};
  std::vector<std::string> try_it = privately;
  try_it.emplace_back("/bin/true");
  if (run({.argv = try_it}).exit_code != 0) GTEST_SKIP() << "needs the right to mount";
  Command command = run_command({"true"}, {"--cold"});
  command.argv.insert(command.argv.begin(),
                      {"/bin/sh", "-c", "mount -t tmpfs none /dev && exec \"$@\"", "sh"});
  command.argv.insert(command.argv.begin(), privately.begin(), privately.end());
  command.env["PATH"] = "/usr/bin:/bin";
  const ProcessResult result = run(command);
  EXPECT_EQ(result.exit_code, 125);
  expect_says(result.err, {"/dev/null", "No such file or directory"});
}

TEST_F(RunFaultsTest, FailsWhenRequiredKvmDoesNotWork) {
  write_file(dir_ / "monitor", "#!/bin/sh\nexit 1\n");
  fs::permissions(dir_ / "monitor", fs::perms(0755));
  variables_["PYRO_QEMU"] = (dir_ / "monitor").string();
  use_own_cache();
  expect_says(run_in_guest({"true"}, {"--require-kvm"}).err, {"KVM is required", "pyro doctor"});
  variables_["PYRO_KVM"] = "require";
  expect_says(run_in_guest({"true"}).err, {"KVM is required"});
  variables_["PYRO_KVM"] = "required";
  const ProcessResult mistyped = run_in_guest({"true"});
  EXPECT_EQ(mistyped.exit_code, 125);
  expect_says(mistyped.err, {"PYRO_KVM", "'require'"});
}

// Replaces KVM by emulation, and lets no microvm start but the KVM test guest.
constexpr const char* kWithoutMicrovm = R"(#!/bin/sh
case " $* " in
  *" microvm,"*" -m 64 "*) ;;
  *" microvm,"*) exit 0 ;;
esac
for word; do
  shift
  case $word in
    kvm) word=tcg,tb-size=512 ;;
    host*) word=max,la57=off ;;
  esac
  set -- "$@" "$word"
done
exec "$REAL_QEMU" "$@"
)";

TEST_F(RunFaultsTest, StartsWarmWhereMicrovmDoesNotBoot) {
  if (!FileDescriptor(::open("/dev/kvm", O_RDWR | O_CLOEXEC))) {
    GTEST_SKIP() << "needs a /dev/kvm that opens, though it need not work";
  }
  use_own_cache();
  std::string script = kWithoutMicrovm;
  script.replace(script.find("\"$REAL_QEMU\""), 12, variables_["PYRO_QEMU"].value());
  write_file(dir_ / "monitor", script);
  fs::permissions(dir_ / "monitor", fs::perms(0755));
  variables_["PYRO_QEMU"] = (dir_ / "monitor").string();
  variables_.erase("PYRO_KVM");
  const ProcessResult prepared = run(command({"prepare", "--memory", "192", "tool:1"}));
  EXPECT_EQ(prepared.exit_code, 0) << prepared.err;
  EXPECT_THAT(prepared.err, HasSubstr("trying another"));
  const ProcessResult result = run_in_guest({"true"}, {"--json"});
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(parse_json(result.out)["started"], "warm");
  EXPECT_EQ(parse_json(result.out)["accelerator"], "kvm");
  expect_says(pyro({"doctor"}).out, {"it runs guests"});
}

// --- environments ---

struct BadArtifact {
  const char* name;
  const char* artifact;
  std::string bytes;
  const char* told;

  friend void PrintTo(const BadArtifact& self, std::ostream* out) { *out << self.name; }
};

class BadArtifactTest : public RunFaultsTest, public ::testing::WithParamInterface<BadArtifact> {};

TEST_P(BadArtifactTest, ErrorNamesTheCauseAndNothingIsLeft) {
  use_own_cache();
  replace(install_dir() / GetParam().artifact, GetParam().bytes);
  const auto before = tree(install_dir());
  const ProcessResult result = run_in_guest({"true"});
  EXPECT_EQ(result.exit_code, 125) << result.err;
  EXPECT_THAT(result.err, HasSubstr(GetParam().told));
  const ProcessResult prepared = run(command({"prepare", "--memory", "192", "tool:1"}));
  EXPECT_EQ(prepared.exit_code, 1) << prepared.err;
  EXPECT_THAT(prepared.err, HasSubstr(GetParam().told));
  EXPECT_FALSE(fs::exists(cache() / "prepared/tool_1/1-192-none"));
  EXPECT_EQ(tree(install_dir()), before);
  expect_no_litter();
}

INSTANTIATE_TEST_SUITE_P(
    Artifacts, BadArtifactTest,
    ::testing::Values(BadArtifact{"KernelOfText", kKernel, "this is no kernel\n", "kernel"},
                      BadArtifact{"KernelOfZeros", kKernel, std::string(1 << 20, '\0'), "kernel"},
                      BadArtifact{"RootfsOfZeros", kRootfs, std::string(1 << 20, '\0'),
                                  "the guest gives up: cannot mount rootfs.ext4"},
                      BadArtifact{"RootfsOfText", kRootfs, "this is no file system\n",
                                  "rootfs.ext4"},
                      BadArtifact{"InitrdOfNoise", kInitrd, noise(100'000), "Kernel panic"}),
    row_name);

// --- saved states ---

struct BadState {
  const char* name;
  std::function<void(const fs::path& state)> spoil;

  friend void PrintTo(const BadState& self, std::ostream* out) { *out << self.name; }
};

class BadStateTest : public RunFaultsTest, public ::testing::WithParamInterface<BadState> {};

TEST_P(BadStateTest, MachineBootsInsteadWithWarning) {
  use_own_cache();
  take_state(GetParam().spoil);
  const ProcessResult result = run_in_guest({"echo", "fine"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "fine\n");
  EXPECT_THAT(result.err, HasSubstr("the prepared state does not work"));
  EXPECT_THAT(result.err, HasSubstr("pyro prepare --force"));
  expect_no_litter();
}

INSTANTIATE_TEST_SUITE_P(
    States, BadStateTest,
    ::testing::Values(
        BadState{"DevicesCutShort",
                 [](const fs::path& state) { fs::resize_file(state / "devices", 5000); }},
        BadState{"DevicesOfNothing",
                 [](const fs::path& state) { fs::resize_file(state / "devices", 0); }},
        BadState{"DevicesOfNoise",
                 [](const fs::path& state) { write_file(state / "devices", noise(300'000)); }},
        BadState{"MemoryCutShort",
                 [](const fs::path& state) { fs::resize_file(state / "memory", 1 << 20); }}),
    row_name);

TEST_F(RunFaultsTest, BootsAfterStateWasTruncated) {
  use_own_cache();
  take_state([](const fs::path&) {});
  EXPECT_EQ(parse_json(run_in_guest({"true"}, {"--json"}).out)["started"], "warm");
  fs::resize_file(cache() / "prepared/tool_1/1-192-none/memory", 1 << 20);
  EXPECT_EQ(parse_json(run_in_guest({"true"}, {"--json"}).out)["started"], "cold");
}

// --- disks ---

class SmallDiskTest : public RunFaultsTest {
 protected:
  /// Limits the file system on which states are made.
  bool mount_staging(const std::string& size) {
    use_own_cache();
    mounted_ = PrivateMount::tmpfs(cache() / "staging", "size=" + size + ",mode=755");
    return mounted_ != nullptr;
  }
  void expect_refusal(const std::vector<std::string>& words) const {
    const ProcessResult result = run(command({"prepare", "--memory", "192", "tool:1"}));
    EXPECT_EQ(result.exit_code, 6) << result.err;
    expect_says(result.err, words);
    EXPECT_FALSE(fs::exists(cache() / "prepared/tool_1/1-192-none"));
    expect_no_litter();
  }

 private:
  std::unique_ptr<PrivateMount> mounted_;
};

TEST_F(SmallDiskTest, PrepareReportsMissingSpaceInAdvance) {
  if (!mount_staging("8m")) GTEST_SKIP() << "needs the right to mount a small file system";
  expect_refusal({"need at least 16.0 MiB", "8.0 MiB free on " + (cache() / "staging").string()});
}

TEST_F(SmallDiskTest, PrepareReportsDiskThatFillsUp) {
  if (!mount_staging("24m")) GTEST_SKIP() << "needs the right to mount a small file system";
  expect_refusal({"cannot save a machine of tool:1", "No space left on device",
                  "which is all that was free on " + (cache() / "staging").string()});
}

// A machine that stood still would never end.
TEST_F(SmallDiskTest, FullHostIsErrorInGuestWithScratchDisk) {
  if (!mount_staging("24m")) GTEST_SKIP() << "needs the right to mount a small file system";
  variables_["PYRO_PREPARE"] = "never";
  const ProcessResult result =
      run_script("dd if=/dev/zero of=/large bs=1M count=100 conv=fsync; echo then $?",
                 {"--disk", "512M", "--timeout", "200"});
  EXPECT_THAT(result.out, HasSubstr("then 1"));
  EXPECT_THAT(result.err, HasSubstr("rror")) << "Input/output error, or a read-only file system";
  expect_no_litter();
}

// --- guests ---

TEST_F(RunFaultsTest, ReportsKernelPanic) {
  const fs::path input = dir_ / "input";
  ASSERT_EQ(::mkfifo(input.c_str(), 0600), 0);
  const FileDescriptor go_on(::open(input.c_str(), O_RDWR | O_CLOEXEC));
  Command run =
      run_command({"sh", "-c", "echo before; read line; echo c > /proc/sysrq-trigger; sleep 1000"});
  run.argv.insert(run.argv.begin(), {"/bin/sh", "-c", "exec \"$@\" < " + input.string(), "sh"});
  BackgroundProcess process(run, dir_ / "out", dir_ / "err");
  process.wait_until("its output is here", [&] { return process.output() == "before\n"; });
  ASSERT_EQ(::write(go_on.get(), "\n", 1), 1);
  const ProcessResult result = process.wait();
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_EQ(result.out, "before\n");
  EXPECT_THAT(result.err, HasSubstr("Kernel panic"));
}

TEST_F(RunFaultsTest, ReportsGuestThatReboots) {
  const ProcessResult result = run_script("echo b > /proc/sysrq-trigger; sleep 1000");
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("the machine ended"));
}

TEST_F(RunFaultsTest, IgnoresFloodOfGuestConsole) {
  const ProcessResult result =
      run_script("yes > /dev/console & yes > /dev/ttyS0 & sleep 1; echo fine");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "fine\n");
  EXPECT_EQ(result.err, "");
}

TEST_F(RunFaultsTest, CommandSeesFullGuestDisk) {
  const ProcessResult result =
      run_script("dd if=/dev/zero of=/big bs=1M; echo \"ended with $?\"; ls / | wc -l");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("ended with 1\n"));
  EXPECT_THAT(result.err, HasSubstr("No space left on device"));
}

TEST_F(RunFaultsTest, OutOfMemoryKillsProcessNotGuest) {
  const ProcessResult result =
      run_script("tail /dev/zero; echo \"ended with $?\"", {"--timeout", "200"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "ended with 137\n");
}

TEST_F(RunFaultsTest, FailsWhenOutputCannotBeWritten) {
  Command full = run_command({"echo", "x"});
  full.argv.insert(full.argv.begin(), {"sh", "-c", "exec \"$@\" > /dev/full", "sh"});
  full.env["PATH"] = "/usr/bin:/bin";
  const ProcessResult result = run(full);
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("No space left on device"));
}

}  // namespace
}  // namespace pyro::testing
