// Workspaces: machines that stay, their commands and processes.
#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "scenarios/pseudo_terminal.h"
#include "scenarios/workspaces/workspace_harness.h"
#include "support/background_process.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Words = std::vector<std::string>;

class WorkspaceTest : public WorkspaceHarness {};

TEST_F(WorkspaceTest, KeepsWhatIsWrittenUntilItIsDeleted) {
  create();
  const ProcessResult first = script("pwd; hostname; echo one > file; echo two > /root/other");
  EXPECT_EQ(first.out, "/workspace\nw\n") << first.err;
  EXPECT_EQ(status()["state"], "running");
  EXPECT_EQ(script("cat file /root/other").out, "one\ntwo\n");
  pyro_ok({"workspace", "stop", "w"});
  EXPECT_EQ(status()["state"], "stopped");
  EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
  EXPECT_EQ(script("cat file /root/other; mv file renamed; ls").out, "one\ntwo\nrenamed\n");
  pyro_ok({"workspace", "delete", "w"});
  EXPECT_EQ(entries(), Words());
  const ProcessResult gone = exec({"true"});
  EXPECT_EQ(gone.exit_code, 125);
  EXPECT_THAT(gone.err, HasSubstr("there is no workspace 'w'"));
}

TEST_F(WorkspaceTest, CreateLeavesExistingOneAlone) {
  create();
  script("echo kept > file");
  EXPECT_THAT(pyro_ok({"workspace", "create", "w", "--environment", "tool:1"}).err,
              HasSubstr("it was there already"));
  EXPECT_EQ(script("cat file").out, "kept\n");
  EXPECT_EQ(status()["memory_mib"], 192);
}

TEST_F(WorkspaceTest, CreateWithoutNameFindsOne) {
  const Words words{"workspace", "create", "--environment", "tool:1",
                    "--memory",  "192",    "--disk",        "128M"};
  EXPECT_EQ(pyro_ok(words).out, "tool-1\n");
  EXPECT_EQ(pyro_ok(words).out, "tool-1-2\n");
  EXPECT_THAT(names(), ElementsAre("tool-1", "tool-1-2"));
}

TEST_F(WorkspaceTest, BeginsWithContentOfDirectory) {
  write_file(dir_ / "seed/src/main.c", "int main() {}\n");
  write_file(dir_ / "seed/run", "#!/bin/sh\necho ran\n");
  fs::permissions(dir_ / "seed/run", fs::perms(0755));
  fs::create_symlink("src/main.c", dir_ / "seed/link");
  create("w", {"--from", (dir_ / "seed").string()});
  EXPECT_EQ(script("ls; ./run; cat link; mv src lib; cat lib/main.c").out,
            "link\nrun\nsrc\nran\nint main() {}\nint main() {}\n");
  pyro_ok({"workspace", "stop", "w"});
  EXPECT_EQ(script("ls").out, "lib\nlink\nrun\n") << "a renamed directory of the seed";
}

TEST_F(WorkspaceTest, BeginsWithGitCheckoutWithoutSecrets) {
  const fs::path tree = dir_ / "checkout";
  const auto git = [&](const Words& words) {
    Words all{"git", "-C", tree, "-c", "user.name=n", "-c", "user.email=e@example.com"};
    all.insert(all.end(), words.begin(), words.end());
    run_checked({.argv = all, .env = {{"HOME", dir_.path().string()}}});
  };
  write_file(tree / ".gitignore", "*.o\n");
  write_file(tree / "main.c", "int main;\n");
  write_file(tree / "main.o", "object");
  write_file(tree / ".env", "KEY=secret\n");
  git({"init", "-q"});
  git({"remote", "add", "origin", "https://user:password@example.com/a.git"});
  git({"add", "main.c"});
  git({"commit", "-qm", "first"});
  const ProcessResult made = pyro_ok({"workspace", "create", "w", "--environment", "tool:1",
                                      "--memory", "192", "--disk", "128M", "--from", tree});
  EXPECT_THAT(made.err, HasSubstr("left out: .env"));
  const std::string found = script("ls -a; cat .git/config; ls .git/objects | wc -l").out;
  EXPECT_THAT(found, HasSubstr("main.c\n"));
  EXPECT_THAT(found, HasSubstr("url = https://example.com/a.git"));
  expect_hides(found, {"main.o", ".env", "password"});
  const ProcessResult home =
      pyro({"workspace", "create", "x", "--environment", "tool:1", "--from", dir_.path()});
  EXPECT_EQ(home.exit_code, 2);
  EXPECT_THAT(home.err, HasSubstr("is too much to begin a workspace with"));
}

TEST_F(WorkspaceTest, ExitCodesAreThoseOfRun) {
  create();
  EXPECT_EQ(script("exit 3").exit_code, 3);
  EXPECT_EQ(script("kill -9 $$").exit_code, 137);
  const ProcessResult missing = exec({"no-such-program"});
  EXPECT_EQ(missing.exit_code, 127);
  EXPECT_THAT(missing.err, HasSubstr("cannot run no-such-program"));
  EXPECT_EQ(exec({"sleep", "1000"}, {"--timeout", "0.2"}).exit_code, 124);
  EXPECT_EQ(exec({"true"}, {"--user", "nobody-here"}).exit_code, 125);
}

TEST_F(WorkspaceTest, StreamsArePassedOn) {
  create();
  const std::string input(300'000, 'x');
  EXPECT_EQ(exec({"cat"}, {}, input).out, input);
  const ProcessResult both = script("echo out; echo err >&2");
  EXPECT_EQ(both.out, "out\n");
  EXPECT_EQ(both.err, "err\n");
  EXPECT_EQ(exec({"sh", "-c", "echo \"$NAME\""}, {"-e", "NAME=v\xff"}).out, "v\xff\n")
      << "byte for byte";
  Command endless = exec_command({"yes"});
  Words words{"sh", "-c", "\"$@\" | head -n 1", "sh"};
  words.insert(words.end(), endless.argv.begin(), endless.argv.end());
  endless.argv = words;
  EXPECT_EQ(run(endless).out, "y\n") << "its reader has gone";
}

// Others may wait for the end of what it is written to.
TEST_F(WorkspaceTest, StreamsOfClientAreClosedWithItsCommand) {
  create();
  const fs::path output = dir_ / "out";
  BackgroundProcess client(exec_command({"echo", "done"}), output);
  EXPECT_EQ(client.wait().out, "done\n");
  for (const auto& entry :
       fs::directory_iterator("/proc/" + std::to_string(supervisor()) + "/fd")) {
    std::error_code gone;
    EXPECT_NE(fs::read_symlink(entry.path(), gone), output);
  }
}

TEST_F(WorkspaceTest, InterruptEndsCommandAndMachineStays) {
  create();
  BackgroundProcess client(exec_command({"sh", "-c", "echo up; sleep 1000"}), dir_ / "out");
  client.wait_until("the command", [&] { return client.output() == "up\n"; });
  client.send_signal(SIGINT);
  EXPECT_EQ(client.wait().exit_code, 130);
  EXPECT_EQ(script("echo still").out, "still\n");
  EXPECT_EQ(status()["processes"], 0);
}

TEST_F(WorkspaceTest, CommandGoesOnWhenClientIsKilled) {
  create();
  BackgroundProcess client(
      exec_command({"sh", "-c", "echo up; while ! [ -e go ]; do sleep 0.1; done; echo end"}),
      dir_ / "out");
  client.wait_until("the command", [&] { return client.output() == "up\n"; });
  client.send_signal(SIGKILL);
  client.wait();
  EXPECT_EQ(process(1)["running"], true);
  script("touch go");
  EXPECT_EQ(pyro_ok({"workspace", "logs", "w", "1", "--follow"}).out, "up\nend\n");
  EXPECT_EQ(process(1)["exit_code"], 0);
}

TEST_F(WorkspaceTest, DetachedProcessIsListedReadAndSignalled) {
  create();
  EXPECT_EQ(script("trap 'echo got; exit 5' TERM; echo begin; echo bad >&2; "
                   "while :; do sleep 0.1; done",
                   {"--detach"})
                .out,
            "1\n");
  EXPECT_TRUE(eventually([&] {
    return pyro_ok({"workspace", "logs", "w", "1"}).out == "begin\n";
  }));
  EXPECT_TRUE(eventually([&] { return pyro_ok({"workspace", "logs", "w", "1"}).err == "bad\n"; }));
  const ProcessResult refused = pyro({"workspace", "delete", "w"});
  EXPECT_EQ(refused.exit_code, 75);
  EXPECT_THAT(refused.err, HasSubstr("1 processes run in the workspace w"));
  pyro_ok({"workspace", "signal", "w", "1", "TERM"});
  EXPECT_EQ(pyro_ok({"workspace", "logs", "w", "1", "--follow"}).out, "begin\ngot\n");
  EXPECT_EQ(process(1)["exit_code"], 5);
  pyro_ok({"workspace", "stop", "w"});
  EXPECT_EQ(pyro_ok({"workspace", "logs", "w", "1"}).out, "begin\ngot\n") << "without a machine";
}

TEST_F(WorkspaceTest, AttachedClientFollowsDetachedProcess) {
  create();
  script(
      "until [ -e go ]; do echo waiting; sleep 0.1; done; "
      "while read -r line; do echo \"got $line\"; done; echo the end >&2; exit 7",
      {"--detach", "-i"});
  const auto attach = [&](const std::string& input, const Words& options = {}) {
    Words words{"workspace", "attach", "w", "1"};
    words.insert(words.end(), options.begin(), options.end());
    Command made = command(words);
    made.stdin_text = input;
    return made;
  };
  BackgroundProcess first(attach({}, {"--no-stdin"}), dir_ / "first");
  first.wait_until("the first client", [&] { return first.output().starts_with("waiting\n"); });
  const ProcessResult other = run(attach(""));
  EXPECT_EQ(other.exit_code, 75);
  EXPECT_THAT(other.err, HasSubstr("another client is attached"));
  first.send_signal(SIGKILL);
  first.wait();
  EXPECT_EQ(process(1)["running"], true) << "it goes on without a client";
  script("touch go");
  pyro_ok({"workspace", "suspend", "w"});
  Command second = attach("one\ntwo\n");
  const ProcessResult ended = run(second);
  EXPECT_EQ(ended.exit_code, 7) << ended.err;
  EXPECT_EQ(ended.out, "got one\ngot two\n");
  EXPECT_EQ(ended.err, "the end\n");
  EXPECT_TRUE(pyro_ok({"workspace", "logs", "w", "1"}).out.ends_with(ended.out));
  const ProcessResult late = run(attach(""));
  EXPECT_EQ(late.exit_code, 3);
  EXPECT_THAT(late.err, HasSubstr("the process 1 has ended"));
}

TEST_F(WorkspaceTest, KeysLeaveAttachedTerminal) {
  create();
  exec({"sh"}, {"--detach", "-it"});
  PseudoTerminal terminal(33, 77);
  const pid_t pid = terminal.start(command({"workspace", "attach", "w", "1", "-t"}));
  EXPECT_TRUE(eventually([&] { return !terminal.is_cooked(); }));
  terminal.type("stty size; echo $((6*7))x\r");
  EXPECT_TRUE(terminal.shows("33 77")) << terminal.seen();
  EXPECT_TRUE(terminal.shows("42x")) << terminal.seen();
  terminal.type("\x10\x11");
  EXPECT_EQ(exit_code_of(pid), 0);
  EXPECT_TRUE(terminal.is_cooked()) << "it is given back as it was";
  EXPECT_EQ(process(1)["running"], true);
}

TEST_F(WorkspaceTest, LogsKeepBeginningAndEndOfMuchOutput) {
  create();
  EXPECT_EQ(script("echo first; yes 0123456 | head -c 12000000; echo last").exit_code, 0);
  const std::string log = pyro_ok({"workspace", "logs", "w", "1"}).out;
  EXPECT_TRUE(log.starts_with("first\n0123456\n"));
  EXPECT_TRUE(log.ends_with("0123456\nlast\n"));
  EXPECT_THAT(log, HasSubstr("MiB are not kept]"));
  EXPECT_LT(log.size(), 9'000'000u);
}

TEST_F(WorkspaceTest, FilesAreCopiedReadAndWritten) {
  create();
  write_file(dir_ / "here/tree/file", "content");
  Command in = command({"workspace", "copy-in", "w", "tree:new/"});
  in.cwd = dir_ / "here";
  run_checked(in);
  EXPECT_EQ(pyro_ok({"workspace", "read", "w", "new/tree/file"}).out, "content");
  pyro_ok({"workspace", "sync", "push", "w", (dir_ / "here/tree/file").string() + ":pushed"});
  EXPECT_EQ(pyro_ok({"workspace", "read", "w", "pushed"}).out, "content");
  Command write = command({"workspace", "write", "w", "deep/er/text"});
  write.stdin_text = "written\n";
  run_checked(write);
  EXPECT_EQ(script("cat deep/er/text").out, "written\n");
  Command out = command({"workspace", "copy-out", "w", "deep", "."});
  out.cwd = dir_ / "here";
  run_checked(out);
  EXPECT_EQ(content_of(dir_ / "here/deep/er/text"), "written\n");
  const ProcessResult missing = pyro({"workspace", "read", "w", "nothing"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_THAT(missing.err, HasSubstr("the guest cannot read /workspace/nothing"));
}

TEST_F(WorkspaceTest, PublishedPortLeadsToServerInGuest) {
  create();
  script("while :; do echo hello | nc -l -p 8000; done", {"--detach"});
  const std::string address = lines_of(pyro_ok({"workspace", "publish", "w", "0:8000"}).out).at(0);
  ASSERT_TRUE(address.starts_with("127.0.0.1:")) << address;
  const std::string port = address.substr(address.find(':') + 1);
  const auto answer = [&] {
    return run({.argv = {"bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/" + port + "; cat <&3"}}).out;
  };
  EXPECT_TRUE(eventually([&] { return answer() == "hello\n"; }));
}

TEST_F(WorkspaceTest, KilledMachineIsStartedAgain) {
  create();
  script("echo kept > file; sync");
  BackgroundProcess client(exec_command({"sh", "-c", "echo up; sleep 1000"}), dir_ / "out");
  client.wait_until("the command", [&] { return client.output() == "up\n"; });
  ::kill(monitor(), SIGKILL);
  EXPECT_EQ(client.wait().exit_code, 125);
  EXPECT_EQ(process(2)["exit_code"], 255);
  EXPECT_EQ(script("cat file").out, "kept\n");
}

TEST_F(WorkspaceTest, KilledSupervisorTakesMachineAlong) {
  create();
  script("echo kept > file; sync");
  script("sleep 1000", {"--detach"});
  const auto all = processes_of_workspaces();
  ::kill(supervisor(), SIGKILL);
  EXPECT_TRUE(eventually([&] {
    return std::ranges::all_of(all, [](pid_t pid) {
      const std::string state = content_of("/proc/" + std::to_string(pid) + "/status");
      return state.empty() || state.find("State:\tZ") != state.npos;
    });
  }));
  // Its threads end one after the other, and the last one closes the socket.
  EXPECT_TRUE(eventually([&] { return status()["state"] == "stopped"; }));
  EXPECT_EQ(process(2)["exit_code"], 255);
  EXPECT_EQ(script("cat file").out, "kept\n");
}

TEST_F(WorkspaceTest, IsSuspendedWhenIdle) {
  create("w", {"--idle", "1s"});
  script("while ! [ -e go ]; do sleep 0.1; done", {"--detach"});
  script("sleep 2");
  EXPECT_EQ(status()["state"], "running") << "a process keeps it awake";
  script("touch go");
  EXPECT_TRUE(eventually([&] { return status()["state"] == "suspended"; }));
  EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
  EXPECT_EQ(script("ls").out, "go\n");
}

TEST_F(WorkspaceTest, ClientsStartStoppedOneAtTheSameTime) {
  create();
  pyro_ok({"workspace", "stop", "w"});
  std::vector<std::thread> clients;
  std::vector<ProcessResult> results(4);
  for (ProcessResult& result : results) {
    clients.emplace_back([&] { result = script("echo one"); });
  }
  for (std::thread& client : clients) client.join();
  for (const ProcessResult& result : results) EXPECT_EQ(result.out, "one\n") << result.err;
  EXPECT_EQ(processes_of_workspaces().size(), 2u);
}

TEST_F(WorkspaceTest, IsRenamedWhenStopped) {
  create();
  EXPECT_EQ(pyro({"workspace", "rename", "w", "new"}).exit_code, 75);
  pyro_ok({"workspace", "stop", "w"});
  create("taken");
  const ProcessResult taken = pyro({"workspace", "rename", "w", "taken"});
  EXPECT_EQ(taken.exit_code, 2);
  EXPECT_THAT(taken.err, HasSubstr("there is a workspace taken already"));
  pyro_ok({"workspace", "rename", "w", "new"});
  EXPECT_THAT(names(), ElementsAre("new", "taken"));
}

TEST_F(WorkspaceTest, ImpossibleNamesAreRefused) {
  for (const char* const name : {"", ".", "..", ".hidden", "a/b", "-x", "a b", "\xc3\xa9"}) {
    const ProcessResult refused =
        pyro({"workspace", "create", "--environment", "tool:1", "--", name});
    EXPECT_EQ(refused.exit_code, 2) << name << refused.err;
  }
  const ProcessResult unknown = pyro({"workspace", "create", "w", "--environment", "no-such:1"});
  EXPECT_EQ(unknown.exit_code, 3);
}

TEST_F(WorkspaceTest, FailedCreateLeavesNothing) {
  const ProcessResult failed =
      pyro({"workspace", "create", "w", "--environment", "tool:1", "--memory", "192"},
           {{"PYRO_QEMU", "/bin/false"}});
  EXPECT_EQ(failed.exit_code, 1);
  EXPECT_EQ(entries(), Words());
  const ProcessResult seed =
      pyro({"workspace", "create", "w", "--environment", "tool:1", "--memory", "192", "--disk",
            "128M", "--from", (dir_ / "nothing").string()});
  EXPECT_THAT(seed.err, HasSubstr("nothing"));
  EXPECT_EQ(entries(), Words());
}

TEST_F(WorkspaceTest, KilledCreateLeavesNothing) {
  BackgroundProcess client(command({"workspace", "create", "w", "--environment", "tool:1",
                                    "--memory", "192", "--disk", "128M"}),
                           dir_ / "out");
  client.wait_until("the machine", [&] { return processes_of_workspaces().size() == 2; });
  client.send_signal(SIGKILL);
  client.wait();
  EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
  // It may have been done by then.
  const Words left = entries();
  EXPECT_TRUE(left.empty() || left == Words{"w"}) << left.front();
}

TEST_F(WorkspaceTest, ShellHasTerminal) {
  create();
  PseudoTerminal terminal(33, 77);
  const pid_t pid = terminal.start(command({"workspace", "shell", "w"}));
  EXPECT_TRUE(terminal.shows("# ")) << terminal.seen();
  terminal.type("stty size; echo $((6*7))x; exit 5\r");
  EXPECT_TRUE(terminal.shows("33 77")) << terminal.seen();
  EXPECT_TRUE(terminal.shows("42x")) << terminal.seen();
  EXPECT_EQ(exit_code_of(pid), 5);
  EXPECT_TRUE(terminal.is_cooked()) << "it is given back as it was";
}

}  // namespace
}  // namespace pyro::testing
