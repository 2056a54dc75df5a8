// Copies into and out of machines that boot.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>

#include "scenarios/machine_harness.h"
#include "support/file_descriptor.h"
#include "support/hash.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class RunCopyTest : public MachineHarness {
 protected:
  RunCopyTest() {
    write_file(from() / "program", "#!/bin/sh\necho ran\n");
    fs::permissions(from() / "program", fs::perms(0755));
    write_file(from() / "deep/er/bytes", noise(300'000) + std::string("\0\n", 2));
    write_file(from() / "empty", "");
    fs::create_directory(from() / "hollow");
    fs::create_symlink("deep/er", from() / "link");
  }

  fs::path from() const { return dir_ / "from"; }
  std::string path(const std::string& name) const { return (dir_ / name).string(); }
};

TEST_F(RunCopyTest, CopiesTreeInAndOutUnchanged) {
  const ProcessResult result =
      run_in_guest({"/work/program"},
                   {"--copy-in", from().string() + ":/work", "--copy-out", "/work:" + path("to")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "ran\n");
  EXPECT_EQ(tree(dir_ / "to"), tree(from()));
  EXPECT_TRUE(holds(dir_ / "to/deep/er/bytes", read_file(from() / "deep/er/bytes")));
  EXPECT_EQ(std::chrono::floor<std::chrono::seconds>(fs::last_write_time(dir_ / "to/empty")),
            std::chrono::floor<std::chrono::seconds>(fs::last_write_time(from() / "empty")));
}

TEST_F(RunCopyTest, CopiesIntoExistingDirectory) {
  fs::create_directory(dir_ / "to");
  const ProcessResult result =
      run_in_guest({"cat", "/tmp/empty", "/tmp/from/program"},
                   {"--copy-in", path("from/empty") + ":/tmp", "--copy-in",
                    from().string() + ":/tmp/", "--copy-out", "/tmp/from/program:" + path("to"),
                    "--copy-out", "/etc/passwd:" + path("new/")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, read_file(from() / "program"));
  EXPECT_TRUE(holds(dir_ / "to/program", read_file(from() / "program")));
  EXPECT_TRUE(fs::exists(dir_ / "new/passwd"));
}

TEST_F(RunCopyTest, CopiesOutAfterFailedCommand) {
  const ProcessResult result =
      run_script("echo why > /log; exit 9", {"--copy-out", "/log:" + path("log")});
  EXPECT_EQ(result.exit_code, 9);
  EXPECT_TRUE(holds(dir_ / "log", "why\n"));
}

TEST_F(RunCopyTest, CopiesOutAfterTimeout) {
  const ProcessResult ended =
      run_script("trap 'echo cleaned up > /log; exit' TERM; sleep 100 & wait",
                 {"--timeout", "2", "--copy-out", "/log:" + path("log")});
  EXPECT_EQ(ended.exit_code, 124);
  EXPECT_TRUE(holds(dir_ / "log", "cleaned up\n"));
}

TEST_F(RunCopyTest, PrintsReportWhenCopyFails) {
  const ProcessResult result =
      run_script("echo out; echo err >&2", {"--json", "--copy-out", "/no/such:" + path("to"),
                                            "--copy-out", "/etc/passwd:" + path("passwd")});
  EXPECT_EQ(result.exit_code, 125);
  const json report = parse_json(result.out);
  EXPECT_EQ(report["exit_code"], 125);
  EXPECT_EQ(report["stdout"], "out\n");
  EXPECT_EQ(report["stderr"], "err\n");
  EXPECT_EQ(report["error"]["code"], "failed");
  EXPECT_THAT(report["error"]["message"].get<std::string>(), HasSubstr("/no/such"));
  EXPECT_TRUE(fs::exists(dir_ / "passwd")) << "the others are made all the same";
}

TEST_F(RunCopyTest, ReportsUnusableDestination) {
  write_file(dir_ / "file", "x");
  for (const std::string& to :
       {path("file/x"), std::string(5'000, 'x'), path(std::string(300, 'x'))}) {
    const ProcessResult result = run_in_guest({"true"}, {"--copy-out", "/etc/passwd:" + to});
    EXPECT_EQ(result.exit_code, 125);
    EXPECT_THAT(result.err, HasSubstr("cannot copy /etc/passwd"));
    EXPECT_THAT(result.err, Not(HasSubstr("unexpected"))) << result.err;
  }
}

TEST_F(RunCopyTest, SkipsPipeWhenCopyingIn) {
  ASSERT_EQ(::mkfifo((from() / "pipe").c_str(), 0600), 0);
  const ProcessResult result =
      run_in_guest({"ls", "/work"}, {"--copy-in", from().string() + ":/work"});
  EXPECT_EQ(result.out, "deep\nempty\nhollow\nlink\nprogram\n");
  EXPECT_THAT(result.err, HasSubstr("from/pipe is no file, directory or link: left out"));
}

TEST_F(RunCopyTest, ReportsMissingSource) {
  const ProcessResult out = run_in_guest({"true"}, {"--copy-out", "/no/such:" + path("to")});
  EXPECT_EQ(out.exit_code, 125);
  EXPECT_THAT(out.err, HasSubstr("the guest cannot read /no/such: No such file"));
  const ProcessResult in = run_in_guest({"touch", "/tmp/x"}, {"--copy-in", path("no") + ":/tmp"});
  EXPECT_EQ(in.exit_code, 125);
  EXPECT_THAT(in.err, HasSubstr(path("no")));
}

TEST_F(RunCopyTest, SkipsPipesAndOutwardLinksWhenCopyingOut) {
  const ProcessResult result = run_script(
      "mkdir /d; mkfifo \"/d/p$(printf '\\033')[31m\"; ln -s /etc/passwd /d/l; touch /d/f",
      {"--copy-out", "/d:" + path("to")});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("left out"));
  EXPECT_THAT(result.err, HasSubstr("leads out of the copied tree"));
  EXPECT_THAT(result.err, Not(HasSubstr("\033"))) << "what a guest says is no order to a terminal";
  EXPECT_EQ(tree(dir_ / "to").size(), 1u);
}

TEST_F(RunCopyTest, ReportsFullGuestDisk) {
  testing::write_file(path("huge"), std::string(120 << 20, 'x'));
  const ProcessResult result = run_in_guest({"true"}, {"--copy-in", path("huge") + ":/huge"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_THAT(result.err, HasSubstr("No space left on device"));
}

// Larger than the guest's memory, and than the time for so many zeros.
TEST_F(RunCopyTest, HolesStayHolesBothWays) {
  constexpr off_t kGap = off_t{3} << 30;
  {
    const FileDescriptor file(::open(path("sparse").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    ASSERT_EQ(::pwrite(file.get(), "middle", 6, kGap), 6);
    ASSERT_EQ(::ftruncate(file.get(), 2 * kGap + 5), 0);
  }
  const ProcessResult result = run_script(
      "stat -c %s /sparse; dd if=/sparse bs=1M skip=3072 count=1 2>/dev/null | head -c 6; echo end "
      ">> /sparse",
      {"--copy-in", path("sparse") + ":/sparse", "--copy-out", "/sparse:" + path("back")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, std::to_string(2 * kGap + 5) + "\nmiddle");
  struct stat status {};
  ASSERT_EQ(::stat(path("back").c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 2 * kGap + 9);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
  const FileDescriptor back(::open(path("back").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 6> middle{};
  ASSERT_EQ(::pread(back.get(), middle.data(), middle.size(), kGap), 6);
  EXPECT_EQ(std::string_view(middle.data(), middle.size()), "middle");
  std::array<char, 6> end{};
  ASSERT_EQ(::pread(back.get(), end.data(), end.size(), 2 * kGap + 3), 6);
  EXPECT_EQ(std::string_view(end.data(), end.size()), std::string_view("\0\0end\n", 6));
}

// --- as cp -r ---

TEST_F(RunCopyTest, TrailingDotCopiesContentOfDirectory) {
  const ProcessResult result = run_in_guest(
      {"ls", "/work"}, {"--copy-in", from().string() + "/.:/work", "--copy-out",
                        "/work/.:" + path("to"), "--copy-out", "/work/deep/.:" + path("to")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "deep\nempty\nhollow\nlink\nprogram\n");
  EXPECT_TRUE(fs::exists(dir_ / "to/program"));
  EXPECT_TRUE(fs::exists(dir_ / "to/er/bytes"));
}

TEST_F(RunCopyTest, KeepsModesOfExistingFilesInGuest) {
  fs::permissions(from(), fs::perms(0700));
  write_file(from() / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
  fs::permissions(from() / "etc/passwd", fs::perms(0600));
  const ProcessResult result = run_in_guest(
      {"stat", "-c", "%a", "/", "/tmp", "/etc", "/etc/passwd", "/hollow"},
      {"--copy-in", from().string() + "/.:/tmp", "--copy-in", from().string() + "/.:/"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "755\n1777\n755\n644\n755\n");
}

TEST_F(RunCopyTest, KeepsModeOfExistingFileOnHost) {
  write_file(dir_ / "private", "old");
  fs::permissions(dir_ / "private", fs::perms(0600));
  run_in_guest({"true"}, {"--copy-out", "/etc/passwd:" + path("private")});
  EXPECT_THAT(read_file(dir_ / "private"), HasSubstr("root:x:0:0"));
  EXPECT_EQ(fs::status(dir_ / "private").permissions(), fs::perms(0600));
}

TEST_F(RunCopyTest, KeepsTimesToTheNanosecond) {
  const std::array<timespec, 2> times{timespec{1, 2}, timespec{1'600'000'000, 123'456'789}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path("from/empty").c_str(), times.data(), 0), 0);
  run_in_guest({"true"}, {"--copy-in", path("from/empty") + ":/empty", "--copy-out",
                          "/empty:" + path("empty")});
  EXPECT_EQ(fs::last_write_time(dir_ / "empty"), fs::last_write_time(from() / "empty"));
}

TEST_F(RunCopyTest, WritesThroughLinkAndToStdout) {
  fs::create_symlink("target", dir_ / "link");
  write_file(dir_ / "target", "old");
  const ProcessResult result = run_in_guest(
      {"true"},
      {"--copy-out", "/etc/hostname:" + path("link"), "--copy-out", "/etc/hostname:/dev/stdout"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "tool-1\n");
  EXPECT_EQ(read_file(dir_ / "target"), "tool-1\n");
  EXPECT_TRUE(fs::is_symlink(dir_ / "link"));
}

TEST_F(RunCopyTest, ReadsPipesToTheirEnd) {
  Command command =
      run_command({"cat", "/x", "/y"}, {"--copy-in", "/dev/stdin:/x", "--copy-in", "/dev/fd/9:/y"});
  command.argv.insert(command.argv.begin(),
                      {"/bin/bash", "-c", "exec 9< <(echo from a process); \"$@\"", "bash"});
  command.stdin_text = "from a pipe\n";
  const ProcessResult result = run(command);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "from a pipe\nfrom a process\n");
}

TEST_F(RunCopyTest, SkipsUnreadableEntriesAndFails) {
  // Root without capabilities is like any user.
  fs::permissions(from() / "empty", fs::perms::none);
  Command command = run_command({"ls", "/work"}, {"--copy-in", from().string() + ":/work"});
  if (::geteuid() == 0) {
    command.argv.insert(command.argv.begin(),
                        {"setpriv", "--bounding-set", "-all", "--inh-caps", "-all"});
  }
  const ProcessResult result = run(command);
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_EQ(result.out, "deep\nhollow\nlink\nprogram\n");
  EXPECT_THAT(result.err, HasSubstr("from/empty: Permission denied: left out"));
  EXPECT_THAT(result.err, HasSubstr("could be read: 1 left out"));
}

TEST_F(RunCopyTest, ShortensLongPathsInMessages) {
  const ProcessResult result =
      run_in_guest({"true"}, {"--copy-out", '/' + std::string(4'000, 'x') + ":to"});
  EXPECT_EQ(result.exit_code, 125);
  EXPECT_LT(result.err.size(), 1'000u) << result.err;
}

}  // namespace
}  // namespace pyro::testing
