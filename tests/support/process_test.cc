// Tests of the temporary directories and of running programs.
#include "support/process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "support/background_process.h"
#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;

ProcessResult shell(const std::string& script) {
  return run({.argv = {"sh", "-c", script}});
}

// A zombie that waits for init counts as dead.
bool alive(pid_t pid) {
  const auto file = fs::path("/proc") / std::to_string(pid) / "stat";
  return fs::exists(file) && read_file(file).find(") Z ") == std::string::npos;
}

TEST(TempDirTest, IsRemovedWithReadOnlyFolders) {
  fs::path path;
  {
    const TempDir dir;
    path = dir.path();
    write_file(dir / "a/b/file", "text");
    fs::permissions(dir / "a/b", fs::perms::owner_read | fs::perms::owner_exec);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(TempDirTest, TreeListsEverything) {
  const TempDir dir;
  write_file(dir / "a/file", "12345");
  fs::create_symlink("file", dir / "a/link");
  fs::permissions(dir / "a", fs::perms(0755));
  fs::permissions(dir / "a/file", fs::perms(0644));
  const std::vector<std::string> expected{"a d 0755", "a/file f 0644 5", "a/link l 0777 -> file"};
  EXPECT_EQ(tree(dir.path()), expected);
  EXPECT_TRUE(tree(dir / "missing").empty());
}

TEST(TempDirTest, SnapshotDetectsChangedBytes) {
  const TempDir dir;
  write_file(dir / "file", "12345");
  const auto before = snapshot(dir.path());
  EXPECT_EQ(snapshot(dir.path()), before);
  write_file(dir / "file", "12346");
  EXPECT_NE(snapshot(dir.path()), before);
  EXPECT_EQ(tree(dir.path()).size(), 1u);
}

TEST(ProcessTest, ReportsCodeAndOutputs) {
  const ProcessResult result = shell("echo out; echo err >&2; exit 7");
  EXPECT_EQ(result.exit_code, 7);
  EXPECT_EQ(result.signal, 0);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_GT(result.max_rss_kib, 0);
  EXPECT_GT(result.processor_time.count(), 0);
}

TEST(ProcessTest, ReportsSignals) {
  const ProcessResult result = shell("kill -USR1 $$");
  EXPECT_EQ(result.exit_code, -1);
  EXPECT_EQ(result.signal, SIGUSR1);
}

TEST(ProcessTest, TransfersLargeInputAndOutput) {
  const std::string text(3 << 20, 'x');
  EXPECT_EQ(run({.argv = {"cat"}, .stdin_text = text}).out, text);
}

TEST(ProcessTest, SurvivesCommandThatDoesNotRead) {
  const std::string text(3 << 20, 'x');
  EXPECT_EQ(run({.argv = {"true"}, .stdin_text = text}).exit_code, 0);
}

TEST(ProcessTest, PassesArgumentsUntouched) {
  const ProcessResult result = run({.argv = {"printf", "<%s>", "", "[a,b]", "--", "a b\n"}});
  EXPECT_EQ(result.out, "<><[a,b]><--><a b\n>");
}

TEST(ProcessTest, SetsAndUnsetsVariablesAndDirectory) {
  const TempDir dir;
  ::setenv("PYRO_TEST_GONE", "1", 1);
  const ProcessResult result =
      run({.argv = {"sh", "-c", "echo $PYRO_TEST_NEW:${PYRO_TEST_GONE-unset}; pwd"},
           .env = {{"PYRO_TEST_NEW", "new"}, {"PYRO_TEST_GONE", std::nullopt}},
           .cwd = dir.path()});
  EXPECT_EQ(result.out, "new:unset\n" + fs::canonical(dir.path()).string() + "\n");
}

TEST(ProcessTest, StartsFromEmptyEnvironment) {
  EXPECT_EQ(run({.argv = {"env"}, .env = {{"A", "1"}}, .clean_env = true}).out, "A=1\n");
}

TEST(ProcessTest, KillsCommandAndChildrenAtTimeLimit) {
  const ProcessResult result =
      run({.argv = {"sh", "-c", "sleep 1000 & echo $!; wait"}, .timeout = Milliseconds(2'000)});
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_TRUE(eventually([&] { return !alive(std::stoi(result.out)); }));
}

TEST(ProcessTest, KillsRemainingChildren) {
  const ProcessResult result = shell("sleep 1000 & echo $!");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(eventually([&] { return !alive(std::stoi(result.out)); }));
}

TEST(ProcessTest, MeasuresMemoryOfCommandOnly) {
  constexpr std::size_t kSize = 256 << 20;
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, kSize);
  EXPECT_LT(run({.argv = {"true"}}).max_rss_kib, 32 << 10);
  ::munmap(memory, kSize);
  const std::string hungry = "x=$(head -c 50000000 /dev/zero | tr '\\0' x); echo ${#x}";
  EXPECT_GT(shell(hungry).max_rss_kib, 48'000);
}

TEST(ProcessTest, ThrowsForMissingProgramAndDirectory) {
  EXPECT_THROW(run({.argv = {"no-such-program-anywhere"}}), std::runtime_error);
  EXPECT_EQ(find_program("no-such-program-anywhere"), std::nullopt);
  EXPECT_TRUE(find_program("sh"));
  EXPECT_THROW(run({.argv = {"true"}, .cwd = "/no/such/directory"}), std::runtime_error);
}

TEST(ProcessTest, CheckedRunErrorHasOutput) {
  try {
    run_checked({.argv = {"sh", "-c", "echo words >&2; exit 3"}});
    FAIL() << "no exception";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("words"), std::string::npos);
  }
}

TEST(BackgroundProcessTest, EndsWithItsOwner) {
  const TempDir dir;
  pid_t pid = 0;
  {
    BackgroundProcess process({.argv = {"sh", "-c", "echo ready; exec sleep 1000"}}, dir / "log");
    process.wait_until("it is ready", [&] { return process.output() == "ready\n"; });
    pid = process.pid();
    EXPECT_TRUE(process.running());
  }
  EXPECT_FALSE(alive(pid));
}

TEST(BackgroundProcessTest, IsKilledIfItIgnoresSigterm) {
  const TempDir dir;
  BackgroundProcess process(
      {.argv = {"sh", "-c", "trap '' TERM; echo ready; sleep 1000; sleep 1000"}}, dir / "log");
  process.wait_until("it is ready", [&] { return process.output() == "ready\n"; });
  const ProcessResult result = process.terminate(Milliseconds(100));
  EXPECT_EQ(result.signal, SIGKILL);
  EXPECT_EQ(result.out, "ready\n");
}

TEST(BackgroundProcessTest, ReportsExitCodeAndOutputs) {
  const TempDir dir;
  BackgroundProcess process({.argv = {"sh", "-c", "echo out; echo err >&2; exit 9"}}, dir / "out",
                            dir / "err");
  const ProcessResult result = process.wait();
  EXPECT_EQ(result.exit_code, 9);
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_FALSE(process.running());
}

TEST(BackgroundProcessTest, ReportsEndDuringWait) {
  const TempDir dir;
  BackgroundProcess process({.argv = {"sh", "-c", "echo broken; exit 1"}}, dir / "log");
  try {
    process.wait_until("pigs fly", [] { return false; });
    FAIL() << "no exception";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "the process ended while waiting until pigs fly:\nbroken\n");
  }
}

// The test program itself is killed here, in a child of its own.
TEST(BackgroundProcessTest, DoesNotOutliveAKilledTest) {
  const TempDir dir;
  const pid_t test = ::fork();
  ASSERT_GE(test, 0);
  if (test == 0) {
    BackgroundProcess process({.argv = {"sh", "-c", "echo $$; exec sleep 1000"}}, dir / "log");
    ::pause();
    ::_exit(0);
  }
  ASSERT_TRUE(eventually([&] {
    return fs::exists(dir / "log") && read_file(dir / "log").find('\n') != std::string::npos;
  }));
  ::kill(test, SIGKILL);
  ::waitpid(test, nullptr, 0);
  const pid_t sleeper = std::stoi(read_file(dir / "log"));
  EXPECT_TRUE(eventually([&] { return !alive(sleeper); }));
}

}  // namespace
}  // namespace pyro::testing
