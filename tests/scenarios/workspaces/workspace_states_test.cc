// States of workspaces: snapshots, reset, fork, suspend.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "scenarios/private_mount.h"
#include "scenarios/workspaces/workspace_harness.h"
#include "support/background_process.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class WorkspaceStatesTest : public WorkspaceHarness {
 protected:
  void snapshot(const std::string& name) const {
    EXPECT_EQ(pyro_ok({"workspace", "snapshot", "w", name}).out, name + "\n");
  }

  /// A process whose number only its memory knows; it writes that to the file it is told.
  void start_counter() const {
    script(
        "number=0; while :; do number=$((number + 1)); "
        "if [ -e ask ]; then mv ask part; echo $number > part; mv part answer; fi; sleep 0.02; "
        "done",
        {"--detach"});
  }
  [[nodiscard]] int count(const std::string& name = "w") const {
    const std::string answer = script_in(name,
                                         "rm -f answer; touch ask; while ! [ -e answer ]; "
                                         "do sleep 0.02; done; cat answer")
                                   .out;
    return answer.empty() ? -1 : std::stoi(answer);
  }

  /// Its life is over.
  void expire() const {
    pyro_ok({"workspace", "suspend", "w"});
    const fs::path file = workspaces() / "w/workspace.json";
    json manifest = json::parse(content_of(file));
    manifest["ttl_seconds"] = 1;
    manifest["created"] = manifest["created"].get<std::int64_t>() - 1000;
    write_file(file, manifest.dump());
  }

  /// Limits the file system that workspaces are on. Their files are copies there.
  bool mount_small_disk() {
    fs::create_directories(workspaces());
    mounted_ = PrivateMount::tmpfs(workspaces(), "size=260m,mode=700");
    return mounted_ != nullptr;
  }

  std::unique_ptr<PrivateMount> mounted_;

  [[nodiscard]] fs::path state_directory(unsigned number) const {
    return workspaces() / "w/states" / std::to_string(number);
  }
};

TEST_F(WorkspaceStatesTest, SnapshotKeepsFilesAndProcesses) {
  create();
  start_counter();
  script("echo before > file; echo memory > /dev/shm/file");
  snapshot("one");
  const int at_snapshot = count();
  script("echo after > file; rm /dev/shm/file");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const int before_reset = count();
  EXPECT_GT(before_reset, at_snapshot);
  pyro_ok({"workspace", "reset", "w", "--to", "one"});
  EXPECT_EQ(status()["state"], "suspended");
  EXPECT_EQ(script("cat file /dev/shm/file").out, "before\nmemory\n");
  EXPECT_LT(count(), before_reset) << "it counts from the snapshot on";
  EXPECT_THAT(snapshots(), ElementsAre("baseline", "one", "before-reset"));
  EXPECT_EQ(process(1)["running"], false) << "that of before";
}

TEST_F(WorkspaceStatesTest, ResetGoesBackToBaselineAndForthAgain) {
  write_file(dir_ / "seed/main.c", "int main;\n");
  create("w", {"--from", (dir_ / "seed").string()});
  script("rm main.c; echo new > file; echo x > /etc/changed");
  pyro_ok({"workspace", "reset", "w"});
  EXPECT_EQ(script("ls; cat /etc/changed").out, "main.c\n");
  EXPECT_EQ(pyro_ok({"workspace", "diff", "w"}).out, "");
  pyro_ok({"workspace", "reset", "w", "--to", "before-reset"});
  EXPECT_EQ(script("ls; cat /etc/changed").out, "file\nx\n");
  pyro_ok({"workspace", "reset", "w", "--to", "before-reset"});
  EXPECT_EQ(script("ls").out, "main.c\n") << "what the reset replaced";
}

TEST_F(WorkspaceStatesTest, ResetEndsWhatRuns) {
  create();
  BackgroundProcess client(exec_command({"sh", "-c", "echo up; sleep 1000"}), dir_ / "out");
  client.wait_until("the command", [&] { return client.output().starts_with("up\n"); });
  pyro_ok({"workspace", "reset", "w"});
  const ProcessResult ended = client.wait();
  EXPECT_EQ(ended.exit_code, 125);
  EXPECT_THAT(ended.out + ended.err, HasSubstr("the workspace was reset"));
  EXPECT_EQ(process(1)["exit_code"], 255);
  pyro_ok({"workspace", "stop", "w"});
  pyro_ok({"workspace", "reset", "w"});
  EXPECT_EQ(script("echo again").out, "again\n") << "of a stopped one";
}

TEST_F(WorkspaceStatesTest, ForkIsAWorkspaceOfItsOwn) {
  create();
  start_counter();
  script("echo shared > file");
  EXPECT_EQ(pyro_ok({"workspace", "fork", "w", "child"}).out, "child\n");
  const int at_fork = count();
  script("echo parent > file");
  EXPECT_EQ(script_in("child", "cat file; hostname").out, "shared\nchild\n");
  EXPECT_GT(count("child"), 0) << "its process goes on";
  EXPECT_GT(count(), at_fork) << "that of the parent, too";
  EXPECT_NE(script_in("child", "head -c 16 /dev/urandom | od -x").out,
            script("head -c 16 /dev/urandom | od -x").out);
  script_in("child", "echo child > file");
  EXPECT_EQ(script("cat file").out, "parent\n");
  pyro_ok({"workspace", "delete", "--force", "w"});
  EXPECT_EQ(script_in("child", "cat file").out, "child\n");
  pyro_ok({"workspace", "reset", "child"});
  EXPECT_EQ(script_in("child", "ls").out, "");
  EXPECT_EQ(pyro_ok({"workspace", "fork", "child"}).out, "child-2\n");
  EXPECT_EQ(pyro({"workspace", "fork", "child", "child-2"}).exit_code, 2);
}

TEST_F(WorkspaceStatesTest, ForkOfSnapshotIsWhatItWas) {
  create();
  script("echo one > file");
  snapshot("one");
  script("echo two > file");
  pyro_ok({"workspace", "fork", "w@one", "child"});
  pyro_ok({"workspace", "create", "second", "--from", "w@one"});
  EXPECT_EQ(script_in("child", "cat file").out, "one\n");
  EXPECT_EQ(script_in("second", "cat file").out, "one\n");
  EXPECT_EQ(script("cat file").out, "two\n");
  EXPECT_EQ(pyro({"workspace", "fork", "w@none", "other"}).exit_code, 3);
}

TEST_F(WorkspaceStatesTest, SuspendedOneTakesNothingAndGoesOn) {
  create();
  start_counter();
  script("echo memory > /dev/shm/file");
  const int before = count();
  pyro_ok({"workspace", "suspend", "w"});
  EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
  EXPECT_EQ(status()["state"], "suspended");
  EXPECT_EQ(status()["processes"], 1);
  EXPECT_EQ(process(1)["running"], true);
  EXPECT_EQ(script("cat /dev/shm/file").out, "memory\n");
  EXPECT_GT(count(), before);
  EXPECT_EQ(process(1)["running"], true);
  pyro_ok({"workspace", "signal", "w", "1", "KILL"});
  EXPECT_TRUE(eventually([&] { return process(1)["exit_code"] == 137; }));
}

TEST_F(WorkspaceStatesTest, SignalReachesProcessOfSuspendedOne) {
  create();
  start_counter();
  pyro_ok({"workspace", "suspend", "w"});
  pyro_ok({"workspace", "signal", "w", "1", "TERM"});
  EXPECT_TRUE(eventually([&] { return process(1)["running"] == false; }));
  EXPECT_EQ(process(1)["exit_code"], 143);
}

TEST_F(WorkspaceStatesTest, OutputOfSuspendedProcessGoesOn) {
  create();
  script("echo begin; while ! [ -e go ]; do sleep 0.05; done; echo end; exit 7", {"--detach"});
  EXPECT_TRUE(eventually([&] {
    return pyro_ok({"workspace", "logs", "w", "1"}).out == "begin\n";
  }));
  pyro_ok({"workspace", "suspend", "w"});
  EXPECT_EQ(pyro_ok({"workspace", "logs", "w", "1"}).out, "begin\n");
  script("touch go");
  EXPECT_EQ(pyro_ok({"workspace", "logs", "w", "1", "--follow"}).out, "begin\nend\n");
  EXPECT_EQ(process(1)["exit_code"], 7);
}

TEST_F(WorkspaceStatesTest, IdleOneIsSuspended) {
  create("w", {"--idle", "1s"});
  script("echo memory > /dev/shm/file");
  EXPECT_TRUE(eventually([&] { return status()["state"] == "suspended"; }));
  EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
  EXPECT_EQ(script("cat /dev/shm/file").out, "memory\n");
}

TEST_F(WorkspaceStatesTest, SupervisorThatIsAskedToEndSuspends) {
  create();
  script("echo memory > /dev/shm/file");
  ::kill(supervisor(), SIGTERM);
  EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
  EXPECT_EQ(script("cat /dev/shm/file").out, "memory\n");
}

TEST_F(WorkspaceStatesTest, ProcessesDoNotKeepOneAwakeThatIsToBeIdle) {
  create("w", {"--idle", "1s!"});
  start_counter();
  EXPECT_TRUE(eventually([&] { return status()["state"] == "suspended"; }));
  EXPECT_EQ(process(1)["running"], true);
  EXPECT_GT(count(), 0) << "it goes on";
}

TEST_F(WorkspaceStatesTest, ExpiredOneIsDeletedWithoutChanges) {
  create("w", {"--ttl", "1s"});
  EXPECT_TRUE(eventually([&] { return names().empty(); }));
}

TEST_F(WorkspaceStatesTest, ExpiredOneWithChangesIsSuspendedAndStaysUntilTheyAreExported) {
  create();
  start_counter();
  script("echo changed > file");
  expire();
  EXPECT_EQ(status()["unexported_changes"], true);
  EXPECT_THAT(pyro_ok({"workspace", "status", "w"}).out, HasSubstr("it stays for its changes"));
  pyro_ok({"workspace", "diff", "w", "--stat"});
  EXPECT_EQ(status()["unexported_changes"], true) << "that was not all of them";
  EXPECT_TRUE(eventually([&] { return status()["state"] == "suspended"; }));
  pyro_ok({"workspace", "copy-out", "w", "file", (dir_ / "copy").string()});
  pyro_ok({"workspace", "copy-out", "w", "/workspace/.", (dir_ / "copies").string()});
  EXPECT_EQ(status()["unexported_changes"], true) << "a process may still write";
  pyro_ok({"workspace", "signal", "w", "1", "KILL"});
  // As long as it is not told that the process has ended, it may still write.
  EXPECT_TRUE(eventually([&] {
    if (names().empty()) return true;
    pyro({"workspace", "diff", "w"});
    return false;
  }));
}

TEST_F(WorkspaceStatesTest, ExpiredOneToBeDiscardedIsDeletedWithChanges) {
  create("w", {"--discard"});
  script("echo changed > file");
  expire();
  EXPECT_THAT(names(), ElementsAre());
}

TEST_F(WorkspaceStatesTest, StopDropsMemory) {
  create();
  start_counter();
  script("echo memory > /dev/shm/file; echo disk > file");
  pyro_ok({"workspace", "suspend", "w"});
  pyro_ok({"workspace", "stop", "w"});
  EXPECT_EQ(status()["state"], "stopped");
  EXPECT_EQ(process(1)["exit_code"], 255);
  const ProcessResult found = script("cat file; cat /dev/shm/file");
  EXPECT_EQ(found.out, "disk\n");
  EXPECT_EQ(found.exit_code, 1);
}

TEST_F(WorkspaceStatesTest, DamagedMemoryIsNotUsed) {
  create();
  script("echo disk > file; echo memory > /dev/shm/file");
  pyro_ok({"workspace", "suspend", "w"});
  {
    std::fstream memory(state_directory(1) / "memory",
                        std::ios::in | std::ios::out | std::ios::binary);
    memory.seekg(0x100000);
    const char byte = static_cast<char>(memory.get() ^ 1);
    memory.seekp(0x100000);
    memory.put(byte);
  }
  const ProcessResult found = script("cat file; ls /dev/shm");
  EXPECT_EQ(found.out, "disk\n");
  EXPECT_THAT(found.err, HasSubstr("w cannot go on where it was (its memory was changed since it "
                                   "was saved): it starts from its disk, without its processes"));
}

TEST_F(WorkspaceStatesTest, MachineThatDiesAfterResumeLeavesNoOldMemory) {
  create();
  pyro_ok({"workspace", "suspend", "w"});
  script("echo later > file; sync");
  ::kill(monitor(), SIGKILL);
  EXPECT_FALSE(fs::exists(state_directory(1) / "machine.json"));
  EXPECT_TRUE(eventually([&] { return script("cat file").out == "later\n"; }));
}

// Frames are whole on both sides of a snapshot.
TEST_F(WorkspaceStatesTest, StreamsGoOnThroughSnapshots) {
  create();
  BackgroundProcess client(exec_command({"sh", "-c", "seq 1 400000"}), dir_ / "out");
  client.wait_until("output", [&] { return !client.output().empty(); });
  for (int i = 0; i < 3; ++i) pyro_ok({"workspace", "snapshot", "w"});
  EXPECT_EQ(client.wait().exit_code, 0);
  std::string expected;
  for (int i = 1; i <= 400000; ++i) expected += std::to_string(i) + '\n';
  EXPECT_TRUE(client.output() == expected);
  EXPECT_THAT(snapshots(), ElementsAre("baseline", "s1", "s2", "s3"));
  const std::string input(3'000'000, 'x');
  std::thread other([&] { pyro_ok({"workspace", "snapshot", "w"}); });
  EXPECT_EQ(exec({"cat"}, {}, input).out, input);
  other.join();
}

TEST_F(WorkspaceStatesTest, ImpossibleRequestsChangeNothing) {
  create();
  script("echo kept > file");
  snapshot("one");
  const auto refused = [&](const Words& words, int code, const std::string& why) {
    Words all{"workspace"};
    all.insert(all.end(), words.begin(), words.end());
    const ProcessResult result = pyro(all);
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_THAT(result.err, HasSubstr(why));
  };
  refused({"snapshot", "w", "one"}, 2, "there is a snapshot one already");
  refused({"snapshot", "w", "before-reset"}, 2, "is for what a reset replaces");
  refused({"snapshot", "w", "a/b"}, 2, "is no name of a workspace or a snapshot");
  refused({"reset", "w", "--to", "none"}, 3, "there are baseline, one");
  refused({"snapshot-delete", "w", "one", "none"}, 3, "there is no snapshot 'none'");
  refused({"snapshot-delete", "w", "baseline"}, 2, "the baseline of a workspace stays");
  refused({"fork", "w", "w"}, 2, "there is a workspace w already");
  refused({"suspend", "none"}, 3, "there is no workspace 'none'");
  EXPECT_THAT(snapshots(), ElementsAre("baseline", "one"));
  EXPECT_THAT(names(), ElementsAre("w"));
  EXPECT_EQ(script("cat file").out, "kept\n");
  pyro_ok({"workspace", "snapshot-delete", "w", "one"});
  EXPECT_THAT(snapshots(), ElementsAre("baseline"));
  EXPECT_EQ(std::distance(fs::directory_iterator(workspaces() / "w/states"), {}), 2);
}

TEST_F(WorkspaceStatesTest, CommittedOneIsAnEnvironment) {
  create();
  const std::string deep = "/opt/tool/" + std::string(150, 'n');
  script("mkdir -p " + deep +
         "; cd /opt/tool; printf '#!/bin/sh\necho made\n' > run; chown 7:3000000 run; "
         "chmod 4755 run; ln run linked; ln -s ../tool/run link; mkfifo pipe; touch -d @1 old; "
         "rm /etc/passwd; truncate -s 1M " +
         deep + "/hole; echo w > " + deep + "/file");
  script("echo x > file; mkdir sub; echo y > sub/file");
  EXPECT_EQ(pyro_ok({"workspace", "commit", "w", "made:1"}).out, "made:1\n");
  EXPECT_EQ(status()["unexported_changes"], false);
  const auto in_made = [&](const std::string& text) {
    return run_checked(command({"run", "--memory", "192", "made:1", "--", "sh", "-c", text})).out;
  };
  EXPECT_EQ(in_made("/opt/tool/run; cat /workspace/file /workspace/sub/file; ls /etc/passwd 2>&1; "
                    "cd /opt/tool; stat -c '%a %u %g %h' run; stat -c %Y old; readlink link; "
                    "[ -p pipe ] && cat " +
                    deep + "/file; stat -c %s " + deep + "/hole"),
            "made\nx\ny\nls: /etc/passwd: No such file or directory\n4755 7 3000000 2\n1\n"
            "../tool/run\nw\n1048576\n");
  run_checked(command({"prepare", "--memory", "192", "made:1"}));
  pyro_ok({"env", "export", "made:1", "--output", (dir_ / "made.tar").string()});
  EXPECT_EQ(pyro({"workspace", "commit", "w", "made:1"}).exit_code, 1) << "there is one";
  EXPECT_EQ(pyro({"workspace", "commit", "w", "a name"}).exit_code, 2);
  script("echo 2 > file");
  pyro_ok({"workspace", "commit", "w", "made:1", "--force"});
  EXPECT_EQ(in_made("cat /workspace/file"), "2\n");
}

TEST_F(WorkspaceStatesTest, FullHostRefusesStatesAndLeavesWorkspace) {
  if (!mount_small_disk()) GTEST_SKIP() << "needs the right to mount a small file system";
  create();
  start_counter();
  script("echo kept > file");
  ProcessResult full = pyro({"workspace", "snapshot", "w"});
  for (int i = 0; i < 30 && full.exit_code == 0; ++i) full = pyro({"workspace", "snapshot", "w"});
  EXPECT_EQ(full.exit_code, 6) << full.err;
  EXPECT_THAT(full.err, HasSubstr("the snapshot cannot be taken"));
  EXPECT_THAT(full.err, HasSubstr("No space left on device"));
  EXPECT_EQ(pyro({"workspace", "fork", "w", "child"}).exit_code, 6);
  EXPECT_THAT(entries(), ElementsAre("w"));
  EXPECT_EQ(std::distance(fs::directory_iterator(workspaces() / "w/states"), {}),
            static_cast<std::ptrdiff_t>(snapshots().size()) + 1);
  EXPECT_EQ(script("cat file").out, "kept\n");
  EXPECT_GT(count(), 0) << "its processes go on";
  pyro_ok({"workspace", "reset", "w"});
  EXPECT_EQ(script("ls").out, "");
  pyro_ok({"workspace", "reset", "w", "--to", "before-reset"});
  EXPECT_EQ(script("cat file").out, "kept\n") << "of its disk";
}

}  // namespace
}  // namespace pyro::testing
