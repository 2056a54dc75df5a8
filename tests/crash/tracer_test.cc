// Tests of the tracer: it records the calls of a command and its children, and can end it at one.
#include "crash/tracer.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

class TracerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto reason = why_no_tracing()) GTEST_SKIP() << *reason;
  }

  Trace shell(const std::string& script, const OnCall& on_call = {}) const {
    return trace({.argv = {"/bin/sh", "-c", script}, .cwd = dir_.path()}, dir_.path(), on_call);
  }

  /// "name file", of each call.
  static std::vector<std::string> summary(const Trace& traced) {
    std::vector<std::string> lines;
    for (const SystemCall& call : traced.calls) {
      lines.push_back(call.name + " " + call.path.filename().string());
    }
    return lines;
  }

  static OnCall at(const std::string& name, Moment moment, Verdict verdict) {
    return [=](const SystemCall& call, Moment now) {
      return call.name.starts_with(name) && now == moment ? verdict : Verdict::go_on;
    };
  }

  bool exists(const char* name) const { return fs::exists(dir_ / name); }

  const TempDir dir_;
};

TEST_F(TracerTest, RecordsChanges) {
  const Trace traced = shell("echo hello >a; mv a b; rm b; echo done");
  EXPECT_EQ(traced.exit_code, 0);
  EXPECT_EQ(traced.out, "done\n");
  EXPECT_THAT(summary(traced),
              ElementsAre("openat a", "write a", "renameat2 a", "unlinkat b", "write out"));
  EXPECT_EQ(traced.calls[2].to, dir_ / "b");
  EXPECT_EQ(traced.calls[0].file, traced.calls[1].file);
  EXPECT_EQ(traced.calls[1].result, 6);
  EXPECT_LT(traced.calls[1].begin, traced.calls[1].end);
}

TEST_F(TracerTest, RecordsWritesOfChildrenToInheritedFiles) {
  const Trace traced = shell("exec 3>a; (sh -c 'echo x >&3'; true) & wait; cat /dev/null");
  EXPECT_THAT(summary(traced), ElementsAre("openat a", "write a"));
}

TEST_F(TracerTest, IgnoresOtherDirectories) {
  const TempDir other;
  EXPECT_THAT(summary(shell("echo x >" + (other / "file").string())), ElementsAre());
}

TEST_F(TracerTest, EndsProcessBeforeCall) {
  const Trace traced =
      shell("mkdir first; mkdir second; touch third", [&](const SystemCall& call, Moment) {
        return call.path == dir_ / "second" ? Verdict::end : Verdict::go_on;
      });
  EXPECT_TRUE(traced.ended);
  EXPECT_EQ(traced.exit_code, -1);
  EXPECT_TRUE(exists("first"));
  EXPECT_FALSE(exists("second"));
  EXPECT_FALSE(exists("third"));
}

TEST_F(TracerTest, EndsProcessAfterCall) {
  EXPECT_TRUE(shell("mkdir first; touch second", at("mkdir", Moment::after, Verdict::end)).ended);
  EXPECT_TRUE(exists("first"));
  EXPECT_FALSE(exists("second"));
}

TEST_F(TracerTest, EndsChildren) {
  shell("(while :; do echo x >>child; done) & mkdir first; wait",
        at("mkdir", Moment::after, Verdict::end));
  const auto size = [&] { return exists("child") ? fs::file_size(dir_ / "child") : 0; };
  const auto before = size();
  ::usleep(20'000);
  EXPECT_EQ(size(), before);
}

TEST_F(TracerTest, SkippedCallSucceeds) {
  const Trace traced =
      shell("mkdir first && touch second", at("mkdir", Moment::before, Verdict::skip));
  EXPECT_EQ(traced.exit_code, 0) << traced.err;
  EXPECT_FALSE(exists("first"));
  EXPECT_TRUE(exists("second"));
}

TEST_F(TracerTest, ShortensWrite) {
  const Trace traced = shell("echo hello >a", at("write", Moment::before, Verdict::shorten));
  EXPECT_EQ(read_file(dir_ / "a"), "hello\n");
  EXPECT_THAT(summary(traced), ElementsAre("openat a", "write a", "write a", "write a"));
  EXPECT_EQ(traced.calls[1].result, 3);
}

}  // namespace
}  // namespace pyro::testing
