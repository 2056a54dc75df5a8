// Commands in machines that boot.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <csignal>
#include <memory>
#include <sstream>
#include <thread>

#include "scenarios/machine_harness.h"
#include "scenarios/private_mount.h"
#include "support/file_descriptor.h"
#include "support/hash.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using namespace std::chrono_literals;

class RunTest : public MachineHarness {
 protected:
  /// Digests of all files that machines start from.
  static std::string digests(const fs::path& state = shared_state()) {
    Command sum{.argv = {"sha256sum", (state / "memory").string(), (state / "devices").string()}};
    for (const char* const name : {kKernel, kRootfs, kInitrd}) {
      sum.argv.push_back((shared_install() / name).string());
    }
    return run(sum).out;
  }

  /// Standard output of `script` in a machine resumed from the state.
  std::string run_warm(const std::string& script,
                       const std::vector<std::string>& options = {}) const {
    std::vector<std::string> words{"--json"};
    words.insert(words.end(), options.begin(), options.end());
    const json report = parse_json(run_script(script, words).out);
    EXPECT_EQ(report["exit_code"], 0) << script;
    EXPECT_EQ(report["started"], "warm");
    return report["stdout"];
  }

  void expect_different_machines(const std::vector<std::string>& options = {}) const {
    const std::string script =
        "head -c 16 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/boot_id "
        "/proc/sys/kernel/random/uuid; date +%s";
    const auto first = lines_of(run_warm(script, options));
    const std::time_t before = std::time(nullptr);
    const auto second = lines_of(run_warm(script, options));
    const std::time_t after = std::time(nullptr);
    ASSERT_EQ(first.size(), 4u);
    ASSERT_EQ(second.size(), 4u);
    for (const std::size_t line : {0, 1, 2}) EXPECT_NE(first[line], second[line]);
    EXPECT_GE(std::stol(second[3]), before - 1);
    EXPECT_LE(std::stol(second[3]), after + 1);
  }

  /// A command that says "up" and then does not end by itself.
  std::unique_ptr<BackgroundProcess> start_endless(const std::vector<std::string>& options = {}) {
    auto process = std::make_unique<BackgroundProcess>(
        run_command({"sh", "-c", "echo up; sleep 1000"}, options),
        dir_ / ("output." + std::to_string(++started_)));
    process->wait_until("the guest to say something",
                        [&] { return process->output().find("up") != std::string::npos; });
    return process;
  }

 private:
  int started_ = 0;
};

// --- exit codes ---

struct End {
  const char* name;
  std::vector<std::string> command;
  int code;
  const char* told = "";  ///< On standard error.
  std::vector<std::string> options = {};

  friend void PrintTo(const End& self, std::ostream* out) { *out << self.name; }
};

class RunExitCodeTest : public RunTest, public ::testing::WithParamInterface<End> {};

TEST_P(RunExitCodeTest, ReflectsEndOfCommand) {
  const ProcessResult result = run_in_guest(GetParam().command, GetParam().options);
  EXPECT_EQ(result.exit_code, GetParam().code) << result.err;
  EXPECT_EQ(result.out, "");
  if (*GetParam().told == '\0')
    EXPECT_EQ(result.err, "");
  else
    EXPECT_THAT(result.err, HasSubstr(GetParam().told));
}

INSTANTIATE_TEST_SUITE_P(
    Commands, RunExitCodeTest,
    ::testing::Values(
        End{"Success", {"true"}, 0}, End{"Failure", {"false"}, 1},
        End{"OwnCode", {"sh", "-c", "exit 42"}, 42},
        End{"LargestCode", {"sh", "-c", "exit 255"}, 255},
        End{"Killed", {"sh", "-c", "kill -9 $$"}, 137},
        End{"Terminated", {"sh", "-c", "kill $$"}, 143},
        End{"NotFound", {"no-such-program"}, 127, "cannot run no-such-program"},
        End{"NotFoundByPath", {"/no/such"}, 127, "cannot run /no/such"},
        End{"NotExecutable", {"/usr/local/bin/not-executable"}, 126, "Permission denied"},
        End{"Directory", {"/etc"}, 126, "Permission denied"},
        End{"NoSuchDirectory", {"true"}, 127, "/no/such", {"-w", "/no/such"}},
        End{"Timeout", {"sleep", "1000"}, 124, "was ended after", {"--timeout", "0.5"}},
        End{"TimeoutIgnoredByCommand",
            {"sh", "-c", "trap '' TERM; sleep 1000"},
            124,
            "was ended after",
            {"--timeout", "0.5", "--stop-timeout", "0.2"}},
        End{"TimeoutNotReached", {"true"}, 0, "", {"--timeout", "200"}}),
    row_name);

TEST_F(RunTest, UsageErrorsExit125) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"run"},
        {"run", "tool:1"},
        {"run", "tool:1", "--"},
        {"run", "unknown:1", "--", "true"},
        {"run", "--no-such", "tool:1", "--", "true"},
        {"--no-such", "run", "tool:1", "--", "true"},
        {"--no-such", "shell", "tool:1"},
        {"run", "--timeout", "x", "tool:1", "--", "true"},
        {"run", "--memory", "1", "tool:1", "--", "true"},
        {"run", "--copy-in", "x", "tool:1", "--", "true"},
        {"run", "-e", "=x", "tool:1", "--", "true"},
        {"run", "-e", "A B=x", "tool:1", "--", "true"},
        {"run", "-i", "--no-stdin", "tool:1", "--", "true"}}) {
    const ProcessResult result = run(command(words));
    EXPECT_EQ(result.exit_code, 125) << result.err;
    EXPECT_NE(result.err, "");
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(RunTest, CommandNeedsNoSeparator) {
  const ProcessResult result =
      run(command({"run", "tool:1", "--memory", "192M", "echo", "-n", "--", "--json", "", "run"}));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "-- --json  run");
}

// --- streams ---

TEST_F(RunTest, KeepsStandardStreamsApart) {
  const ProcessResult result = run_script("echo out; echo err >&2; cat; exit 3", {}, "in\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_EQ(result.out, "out\nin\n");
  EXPECT_EQ(result.err, "err\n");
}

TEST_F(RunTest, EveryByteArrivesBothWays) {
  std::string bytes = noise(3 << 20, 7);
  for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
  const ProcessResult result = run_script("tee /dev/stderr", {}, bytes);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(result.out == bytes) << result.out.size();
  EXPECT_TRUE(result.err == bytes) << result.err.size();
}

TEST_F(RunTest, UnreadInputDoesNotDelayExit) {
  const ProcessResult result = run_script("head -c 3; exec <&-; sleep 0.1", {}, noise(4 << 20));
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, noise(4 << 20).substr(0, 3));
}

TEST_F(RunTest, EmptyInputIsEndOfFile) {
  EXPECT_EQ(run_in_guest({"cat"}).exit_code, 0);
}

TEST_F(RunTest, NoStdinLeavesInputUnread) {
  Command loop = run_command({"cat"}, {"--no-stdin"});
  loop.argv.insert(loop.argv.begin(), {"bash", "-c", "\"$@\"; cat", "bash"});
  loop.env["PATH"] = "/usr/bin:/bin";
  loop.stdin_text = "left\n";
  EXPECT_EQ(run(loop).out, "left\n");
}

TEST_F(RunTest, FailsWhenWritingToClosedOutput) {
  for (const bool writes : {false, true}) {
    Command closed = run_command({writes ? "date" : "true"});
    closed.argv.insert(closed.argv.begin(), {"/bin/sh", "-c", "exec \"$@\" >&-", "sh"});
    const ProcessResult result = run(closed);
    EXPECT_EQ(result.exit_code, writes ? 125 : 0) << result.err;
    EXPECT_THAT(result.err, HasSubstr(writes ? "Bad file descriptor" : ""));
  }
}

TEST_F(RunTest, ClosedPipeEndsCommandWithSigpipe) {
  Command piped = run_command({"yes"});
  piped.argv.insert(piped.argv.begin(),
                    {"bash", "-c", "\"$@\" | head -n 1; exit ${PIPESTATUS[0]}", "bash"});
  piped.env["PATH"] = "/usr/bin:/bin";
  const ProcessResult result = run(piped);
  EXPECT_EQ(result.exit_code, 141) << result.err;
  EXPECT_EQ(result.out, "y\n");
}

TEST_F(RunTest, BackgroundProcessDoesNotDelayExit) {
  const ProcessResult result = run_script("sleep 1000 & echo done");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "done\n");
}

// --- arguments and surroundings ---

TEST_F(RunTest, PassesArgumentsUnchanged) {
  const std::vector<std::string> words{
      "[a,b]", "",      "--",  "-t",       "--json",
      "a b",   "$HOME", "'\"", "x\ny",     "\xff\xfe",
      "run",   "[",     "]",   "--memory", std::string(100'000, 'w')};
  std::vector<std::string> command{"sh", "-c", "printf '<%s>' \"$@\"", "sh"};
  std::string wanted;
  for (const std::string& word : words) {
    command.push_back(word);
    wanted += '<' + word + '>';
  }
  EXPECT_EQ(run_in_guest(command).out, wanted);
}

TEST_F(RunTest, RunsCommandNamedOpeningBracket) {
  EXPECT_EQ(run_in_guest({"[", "-f", "/etc/passwd", "]"}).exit_code, 0);
  EXPECT_EQ(run_in_guest({"[", "-f", "/etc/no", "]"}).exit_code, 1);
}

TEST_F(RunTest, RunsScriptWithoutHashBang) {
  const ProcessResult result = run_in_guest({"no-hash-bang", "a", "b"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "no hash-bang, arguments: a b\n");
}

TEST_F(RunTest, SetsVariablesAndDirectoryAsGiven) {
  const std::string script = "echo \"$A|$B|$HOME|$USER|$PATH\"; pwd";
  EXPECT_EQ(run_script(script, {"-e", "A=1=2", "-e", "B=", "-e", "A=last", "-w", "/usr/bin"}).out,
            "last||/root|root|/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
            "/usr/bin\n");
  EXPECT_EQ(run_in_guest({"pwd"}).out, "/root\n");
}

TEST_F(RunTest, PassesRequestedVariablesOfHostAndFile) {
  write_file(dir_ / "variables", "# for the build\nA=file\nB=file\n");
  Command command = run_command(
      {"sh", "-c", "echo \"$A|$B|$HERE|${NONE-unset}\""},
      {"-e", "A=given", "--env-file", (dir_ / "variables").string(), "-e", "HERE", "-e", "NONE"});
  command.env["HERE"] = "here";
  EXPECT_EQ(run(command).out, "given|file|here|unset\n");
}

TEST_F(RunTest, HidesVariablesOfHost) {
  Command with_secret = run_command({"env"});
  with_secret.env["SECRET"] = "hunter2";
  EXPECT_THAT(run(with_secret).out, Not(HasSubstr("hunter2")));
}

TEST_F(RunTest, OpensStandardStreamsOnly) {
  // Descriptor 3 is the directory that ls reads.
  EXPECT_EQ(run_in_guest({"ls", "/proc/self/fd"}).out, "0\n1\n2\n3\n");
}

TEST_F(RunTest, RunsInitAndCommandOnly) {
  const auto lines = lines_of(
      run_script("for process in /proc/[0-9]*; do words=; read -r words < $process/cmdline; "
                 "[ -n \"$words\" ] && echo ${process#/proc/}; done 2>/dev/null; echo $$")
          .out);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0], "1");
  EXPECT_EQ(lines[1], lines[2]);
}

TEST_F(RunTest, NullInputIsTheGuestsNullDevice) {
  Command command = run_command({"readlink", "/proc/self/fd/0"});
  command.argv.insert(command.argv.begin(), {"/bin/sh", "-c", "\"$@\" </dev/null", "sh"});
  EXPECT_EQ(run(command).out, "/dev/null\n");
}

// --- terminals ---

TEST_F(RunTest, TerminalOptionAllocatesPty) {
  const ProcessResult result =
      run_script("test -t 0 && test -t 1 && test -t 2 && stty size", {"-t"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "24 80\r\n");
  EXPECT_NE(run_script("test -t 0 || test -t 1").exit_code, 0) << "none unless asked for";
}

// --- end of the machine ---

TEST_F(RunTest, MachineEndsWithItsParent) {
  const auto endless = start_endless();
  const auto children = children_of(endless->pid());
  ASSERT_EQ(children.size(), 1u);
  endless->send_signal(SIGKILL);
  endless->wait();
  EXPECT_TRUE(eventually([&] { return ::kill(children[0], 0) != 0; }));
}

// --- states ---

TEST_F(RunTest, RunLeavesNothingForTheNext) {
  const std::string before = digests();
  run_warm(
      "rm /etc/passwd; echo x > /new; echo y > /tmp/new; hostname other; "
      "dd if=/dev/urandom of=/dev/shm/x bs=1M count=20 2>/dev/null");
  const std::string next =
      run_warm("cat /etc/passwd; ls /new /tmp/new /dev/shm/x 2>/dev/null; hostname");
  EXPECT_THAT(next, HasSubstr("root:x:0:0"));
  EXPECT_THAT(next, Not(HasSubstr("new")));
  EXPECT_THAT(next, HasSubstr("\ntool-1\n"));
  EXPECT_EQ(digests(), before);
}

TEST_F(RunTest, PreparedStateIsPrivateToItsOwner) {
  const auto rights = [](const fs::path& path) { return fs::status(path).permissions(); };
  EXPECT_EQ(rights(shared_state() / "memory"), fs::perms(0600));
  EXPECT_EQ(rights(shared_state() / "devices"), fs::perms(0600));
  const auto of_others = fs::perms::group_write | fs::perms::others_write;
  EXPECT_EQ(rights(shared_state()) & of_others, fs::perms::none);
}

/// The number behind `name` in a file of /proc.
std::string value_in(const fs::path& file, const std::string& name) {
  for (const std::string& line : lines_of(read_file(file))) {
    if (!line.starts_with(name)) continue;
    std::istringstream rest(line.substr(name.size()));
    std::string value;
    rest >> value;
    return value;
  }
  return "nothing";
}

TEST_F(RunTest, QemuRunsConfined) {
  const auto endless = start_endless();
  const auto children = children_of(endless->pid());
  ASSERT_EQ(children.size(), 1u);
  const fs::path process = "/proc/" + std::to_string(children[0]);
  // The C library splits GLIBC_TUNABLES at its colons.
  std::string variables = read_file(process / "environ");
  std::ranges::replace(variables, '\0', ':');
  EXPECT_EQ(variables,
            "PATH=/usr/bin:/bin:GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:"
            "glibc.malloc.top_pad=67108864:");
  EXPECT_EQ(value_in(process / "status", "Seccomp:"), "2");
  EXPECT_EQ(value_in(process / "status", "NoNewPrivs:"), "1");
  EXPECT_EQ(value_in(process / "limits", "Max core file size"), "0");
  EXPECT_EQ(value_in(process / "limits", "Max file size"), "0");
  EXPECT_EQ(value_in(process / "limits", "Max open files"), "256");
  EXPECT_EQ(value_in(process / "limits", "Max address space"),
            std::to_string((std::uint64_t{4} << 30) + (std::uint64_t{192} << 20)));
  endless->send_signal(SIGINT);
  endless->wait();
}

TEST_F(RunTest, GuestCannotWriteToEnvironment) {
  EXPECT_NE(run_script("dd if=/dev/zero of=/dev/vda bs=4096 count=1").exit_code, 0);
}

TEST_F(RunTest, MachinesFromOneStateDiffer) {
  expect_different_machines();
}

TEST_F(RunTest, MachinesWithSeveralProcessorsDiffer) {
  use_own_cache();
  const std::vector<std::string> two{"--cpus", "2"};
  prepare(two);
  const std::string before = digests(cache() / "prepared/tool_1/2-192-none");
  expect_different_machines(two);
  EXPECT_EQ(run_warm("nproc", two), "2\n");
  EXPECT_EQ(digests(cache() / "prepared/tool_1/2-192-none"), before);
}

TEST_F(RunTest, PrepareForceReplacesState) {
  use_own_cache();
  take_state([](const fs::path&) {});
  const auto files_of_state = [&] {
    return parse_json(read_file(cache() / "prepared/tool_1/1-192-none/manifest.json"))["files"];
  };
  const json before = files_of_state();
  prepare();
  EXPECT_EQ(files_of_state(), before);
  prepare({"--force"});
  EXPECT_NE(files_of_state(), before);
  run_warm("true");
}

// As a CI system saves and restores it: all files are new ones.
TEST_F(RunTest, RestoredCacheStaysWarmForItsKeyAlone) {
  use_own_cache();
  take_state([](const fs::path&) {});
  const fs::path restored = dir_ / "restored";
  copy_sparse(cache(), restored);
  variables_["PYRO_ENVIRONMENT_CACHE_DIR"] = restored.string();
  for (int i = 0; i < 2; ++i) {
    const ProcessResult result = run_in_guest({"true"}, {"--json"});
    EXPECT_EQ(result.err, "");
    EXPECT_EQ(parse_json(result.out)["started"], "warm");
  }
  variables_["PYRO_STATE_KEY"] = "the key of someone else";
  variables_["PYRO_PREPARE"] = "never";
  const ProcessResult result = run_in_guest({"true"}, {"--json"});
  EXPECT_THAT(result.err, HasSubstr("made with another key"));
  EXPECT_EQ(parse_json(result.out)["started"], "cold");
}

TEST_F(RunTest, StartsWarmFromReadOnlyCache) {
  use_own_cache();
  take_state([](const fs::path&) {});
  const auto mounted = PrivateMount::read_only(cache());
  if (!mounted) GTEST_SKIP() << "needs the right to mount";
  const ProcessResult result = run_in_guest({"true"}, {"--json"});
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(parse_json(result.out)["started"], "warm");
}

// Inode, size and time stay the same.
TEST_F(RunTest, VerifyFindsFlippedByteInState) {
  use_own_cache();
  prepare();
  const auto states = [&](int exit_code) {
    json found;
    const json reports = pyro_json({"env", "verify", "tool:1"}, exit_code);
    for (const json& artifact : reports[0]["artifacts"]) {
      found[artifact["name"].get<std::string>()] = artifact["status"];
    }
    return found;
  };
  json before = states(0);
  EXPECT_EQ(before["prepared/1-192-none/memory"], "ok");
  EXPECT_EQ(before["prepared/1-192-none/devices"], "ok");
  const fs::path devices = cache() / "prepared/tool_1/1-192-none/devices";
  std::string bytes = read_file(devices);
  bytes.back() ^= 1;
  write_file(devices, bytes);
  before["prepared/1-192-none/devices"] = "modified";
  EXPECT_EQ(states(5), before);
  const ProcessResult told = pyro({"env", "verify", "tool:1"});
  EXPECT_THAT(told.out, HasSubstr("prepared/1-192-none/devices"));
  EXPECT_THAT(told.err, HasSubstr("'pyro prepare --force tool:1'"));
}

TEST_F(RunTest, RunsEightMachinesAtOnce) {
  std::vector<std::unique_ptr<BackgroundProcess>> runs;
  for (int i = 0; i < 8; ++i) {
    const std::string number = std::to_string(i);
    runs.push_back(std::make_unique<BackgroundProcess>(
        run_command({"sh", "-c", "echo " + number + " > /n; sleep 1; cat /n; exit " + number}),
        dir_ / number));
  }
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(runs[static_cast<std::size_t>(i)]->wait().exit_code, i);
    EXPECT_EQ(read_file(dir_ / std::to_string(i)), std::to_string(i) + '\n');
  }
}

TEST_F(RunTest, PsShowsMachineWhileItRuns) {
  auto endless = start_endless();
  const auto found = [&]() -> json {
    const json machines = pyro_json({"ps"})["machines"];
    for (const json& machine : machines) {
      if (machine["pid"] == endless->pid()) return machine;
    }
    return nullptr;
  };
  const json machine = found();
  ASSERT_TRUE(machine.is_object());
  EXPECT_EQ(machine["environment"], "tool:1");
  EXPECT_EQ(machine["started"], "warm");
  EXPECT_GT(machine["memory_bytes"], 1 << 20);
  EXPECT_THAT(pyro_ok({"ps"}).out, HasSubstr("tool:1"));
  endless->send_signal(SIGINT);
  endless->wait();
  EXPECT_TRUE(found().is_null());
}

TEST_F(RunTest, RemoveNamesProcessThatUsesEnvironment) {
  use_own_cache();
  auto endless = start_endless();
  const ProcessResult refused = pyro({"env", "remove", "tool:1"});
  EXPECT_EQ(refused.exit_code, 75);
  EXPECT_THAT(refused.err, HasSubstr("environment 'tool:1' is in use by process " +
                                     std::to_string(endless->pid()) + "\n"));
}

TEST_F(RunTest, PruneSkipsEnvironmentInUse) {
  use_own_cache();
  auto endless = start_endless();
  const Variables elsewhere = {{"XDG_CONFIG_HOME", (dir_ / "no").string()}};
  const ProcessResult during = pyro_ok({"env", "prune"}, elsewhere);
  EXPECT_THAT(during.out, HasSubstr("in use"));
  endless->send_signal(SIGINT);
  endless->wait();
  pyro_ok({"env", "prune"}, elsewhere);
  EXPECT_FALSE(fs::exists(install_dir()));
  EXPECT_TRUE(fs::is_empty(cache() / "staging"));
}

TEST_F(RunTest, PruneRemovesStateOfRemovedEnvironment) {
  use_own_cache();
  take_state([](const fs::path&) {});
  fs::remove_all(install_dir());
  pyro_ok({"env", "prune"});
  EXPECT_FALSE(fs::exists(cache() / "prepared/tool_1"));
}

// --- reports ---

TEST_F(RunTest, JsonReportDescribesTheRun) {
  const ProcessResult result = run_script("echo out; printf '\\377' >&2; kill -15 $$", {"--json"});
  EXPECT_EQ(result.exit_code, 143);
  const json report = parse_json(result.out);
  EXPECT_EQ(report["name"], "tool:1");
  EXPECT_EQ(report["exit_code"], 143);
  EXPECT_EQ(report["signal"], SIGTERM);
  EXPECT_EQ(report["timed_out"], false);
  EXPECT_EQ(report["stdout"], "out\n");
  EXPECT_EQ(report["stderr_base64"], "/w==");
  EXPECT_EQ(report["started"], "warm");
  EXPECT_EQ(report["accelerator"], "tcg");
  for (const char* const key : {"ready", "command", "total"}) {
    EXPECT_GT(report["seconds"][key], 0.0) << key;
  }
}

TEST_F(RunTest, ScratchDiskTakesWhatGuestWrites) {
  use_own_cache();
  const std::string write =
      "test -e /left && exit 7; touch /left; df -m / | tail -n 1 | awk '{print ($2 > 300)}'; "
      "dd if=/dev/zero of=/large bs=1M count=250 2>/dev/null && rm /large; echo $?";
  const std::vector<std::string> options{"--disk", "512M", "--json"};
  for (const char* const started : {"cold", "kernel", "warm"}) {
    const json report = parse_json(run_script(write, options).out);
    EXPECT_EQ(report["started"], started);
    EXPECT_EQ(report["stdout"], "1\n0\n") << report;
  }
  EXPECT_TRUE(fs::is_empty(cache() / "staging"));
  EXPECT_EQ(parse_json(run_in_guest({"true"}, {"--disk", "128M", "--json"}).out)["started"],
            "kernel")
      << "a kernel goes on with a disk of any size";
  EXPECT_EQ(parse_json(run_in_guest({"true"}, {"--json"}).out)["started"], "cold")
      << "and has seen whether there is one";
  prepare({"--disk", "256M"});
  EXPECT_EQ(parse_json(run_in_guest({"true"}, {"--disk", "256M", "--json"}).out)["started"],
            "warm");
  pyro_ok({"env", "verify", "tool:1"});
}

TEST_F(RunTest, FullScratchDiskIsErrorInGuest) {
  const ProcessResult result =
      run_script("dd if=/dev/zero of=/large bs=1M count=100", {"--disk", "64M", "--cold"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("No space left on device"));
}

TEST_F(RunTest, RejectsScratchDiskOutOfBounds) {
  for (const char* const size : {"1M", "63M", "17T", "x", ""}) {
    const ProcessResult result = run_in_guest({"true"}, {"--disk", size});
    EXPECT_EQ(result.exit_code, 125) << size;
    EXPECT_THAT(result.err, HasSubstr("is not a size from 64M to 16777216M")) << size;
  }
}

TEST_F(RunTest, ChosenPortOfHostIsNamed) {
  const ProcessResult result = run_in_guest({"true"}, {"--publish", "0:80"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, ::testing::ContainsRegex(
                              "port [1-9][0-9]* of 127.0.0.1 goes to port 80 of the machine"));
}

TEST_F(RunTest, ColdOptionBootsMachine) {
  const json report = parse_json(run_in_guest({"true"}, {"--cold", "--json"}).out);
  EXPECT_EQ(report["started"], "cold");
}

TEST_F(RunTest, MachineOfAnotherShapeHasAnotherState) {
  use_own_cache();
  take_state([](const fs::path&) {});
  const ProcessResult result =
      run(command({"run", "--json", "--memory", "256", "--cpus", "2", "tool:1", "--", "nproc"}));
  const json report = parse_json(result.out);
  EXPECT_EQ(report["stdout"], "2\n");
  EXPECT_EQ(report["started"], "cold");
  EXPECT_EQ(result.err, "");
  run_warm("true");
}

TEST_F(RunTest, PrepareSkipsExistingState) {
  const ProcessResult again = run(command({"prepare", "--memory", "192", "tool:1"}));
  EXPECT_EQ(again.out, "tool:1: prepared already\n");
}

// --- networks ---

/// A TCP server on loopback that answers "heard " and the request.
class Echo {
 public:
  Echo() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(socket_.get(), generic, size), 0);
    EXPECT_EQ(::listen(socket_.get(), 1), 0);
    EXPECT_EQ(::getsockname(socket_.get(), generic, &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this] { serve(); });
  }

  std::string port() const { return std::to_string(port_); }

 private:
  void serve() const {
    pollfd ready{socket_.get(), POLLIN, 0};
    if (::poll(&ready, 1, 20'000) != 1) return;
    const FileDescriptor guest(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    char words[64];
    const ssize_t got = ::read(guest.get(), words, sizeof words);
    const std::string answer =
        "heard " + std::string(words, static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    static_cast<void>(!::write(guest.get(), answer.data(), answer.size()));
  }

  FileDescriptor socket_;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

TEST_F(RunTest, HasNoNetworkByDefault) {
  EXPECT_EQ(run_in_guest({"ls", "/sys/class/net"}).out, "lo\n");
}

TEST_F(RunTest, HostNetworkReachesLoopbackOfHost) {
  prepare({"--network", "user+host"});
  const Echo echo;
  const ProcessResult result =
      run_script("echo hello | nc 10.0.2.2 " + echo.port(), {"--network", "user+host", "--json"});
  const json report = parse_json(result.out);
  EXPECT_EQ(report["stdout"], "heard hello\n") << result.out;
  EXPECT_EQ(report["started"], "warm");
}

// In a network namespace with an interface of its own, on which a server listens, as well as on the
// loopback interface.
TEST_F(RunTest, UserNetworkReachesHostButNotItsLoopback) {
  const Command inner = run_command(
      {"sh", "-c",
       "for a in 198.51.100.2 10.0.2.2; do echo hello | timeout 3 nc $a 8000; done; echo end"},
      {"--network", "user"});
  const std::string script = R"(
ip link add v0 type veth peer name v1 || exit 77
ip addr add 198.51.100.2/24 dev v0
for one in lo v0 v1; do ip link set $one up; done
ip route add default via 198.51.100.1
python3 -c '
import socket
server = socket.create_server(("", 8000))
while True:
    client, _ = server.accept()
    client.sendall(client.recv(9))
    client.close()' &
server=$!
code=0
"$@" || code=$?
kill $server
exit $code)";
  Command outer = inner;
  outer.argv = {"unshare", "-n", "sh", "-ec", script, "sh"};
  outer.argv.insert(outer.argv.end(), inner.argv.begin(), inner.argv.end());
  outer.env["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin";
  const ProcessResult result = run(outer);
  if (result.exit_code == 77 || result.err.starts_with("unshare")) {
    GTEST_SKIP() << "needs the right to make a network namespace and an interface";
  }
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "hello\nend\n") << result.err;
}

// Each connection of the guest takes a descriptor of QEMU.
TEST_F(RunTest, QemuWithNetworkMayOpen4096Descriptors) {
  const auto endless = start_endless({"--network", "user+host"});
  const auto children = children_of(endless->pid());
  ASSERT_EQ(children.size(), 1u);
  const std::string most =
      value_in("/proc/" + std::to_string(children[0]) + "/limits", "Max open files");
  rlimit own{};
  ::getrlimit(RLIMIT_NOFILE, &own);
  EXPECT_EQ(most, std::to_string(std::min<rlim_t>(4096, own.rlim_cur)));
}

}  // namespace
}  // namespace pyro::testing
