// Installs are durable before they are published, and published durably before they are reported.
#include "crash/order.h"

#include <gmock/gmock.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "crash/tracer.h"
#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class OrderTest : public RegistryHarness {
 protected:
  OrderTest() { offer(image_of(sample())); }

  void SetUp() override {
    if (const auto reason = why_no_tracing()) GTEST_SKIP() << *reason;
  }

  Trace record(std::vector<std::string> words, const Variables& variables = {}) const {
    Trace recorded = trace(command(std::move(words), variables), home());
    EXPECT_EQ(recorded.exit_code, 0) << recorded.err;
    EXPECT_NE(recorded.out, "");
    return recorded;
  }

  Publication publication(const Trace& recorded) const {
    Publication made{.platform = platform_dir(),
                     .staging = cache() / "staging",
                     .destination = install_dir(),
                     .output = recorded.output,
                     .files = {}};
    for (const fs::directory_entry& entry : fs::directory_iterator(install_dir())) {
      struct stat status {};
      EXPECT_EQ(::lstat(entry.path().c_str(), &status), 0);
      if (!S_ISREG(status.st_mode)) continue;
      made.files[entry.path().filename()] = FileId{status.st_dev, status.st_ino};
    }
    return made;
  }

  void expect_in_order(const Trace& recorded) const {
    EXPECT_THAT(order_violations(recorded.calls, publication(recorded)), IsEmpty());
  }
};

TEST_F(OrderTest, FirstInstallIsDurableBeforePublication) {
  const Trace recorded = record({"env", "pull", "tool:1"});
  EXPECT_EQ(publication(recorded).files.size(), 3u);
  expect_in_order(recorded);
}

TEST_F(OrderTest, ReplacementIsDurableBeforePublication) {
  pyro_ok({"env", "pull", "tool:1"});
  registry_->put(kRepository, "1", image_of(other_artifacts(6)));
  expect_in_order(record({"env", "pull", "--force", "tool:1"}));
  expect_installed(other_artifacts(6));
}

TEST_F(OrderTest, RepairIsDurableBeforePublication) {
  pyro_ok({"env", "pull", "tool:1"});
  fs::resize_file(install_dir() / "rootfs.ext4", 1000);
  expect_in_order(record({"env", "pull", "--repair", "tool:1"}));
  expect_installed(sample());
}

TEST_F(OrderTest, ArchiveInstallIsDurableBeforePublication) {
  write_file(dir_ / "tool.tar", tar_of(sample()));
  use_catalog({archive_entry((dir_ / "tool.tar").string())});
  expect_in_order(record({"env", "pull", "tool:1"}));
}

// Tests of the checker itself: it must report each call that is removed or moved.

class CheckerTest : public OrderTest {
 protected:
  using Calls = std::vector<SystemCall>;

  void SetUp() override {
    OrderTest::SetUp();
    if (IsSkipped()) return;
    const Trace recorded = record({"env", "pull", "tool:1"});
    calls_ = recorded.calls;
    publication_ = publication(recorded);
  }

  Calls::iterator publish(Calls& calls) const {
    return std::ranges::find(calls, publication_.destination, &SystemCall::to);
  }

  std::vector<std::string> violations(const Calls& calls) const {
    return order_violations(calls, publication_);
  }

  static bool is_sync_of(const fs::path& path, const SystemCall& call) {
    return call.effect == Effect::sync && call.path == path;
  }
  std::set<fs::path> synced_paths() const {
    std::set<fs::path> paths;
    for (const SystemCall& call : calls_) {
      if (is_sync_of(call.path, call)) paths.insert(call.path);
    }
    return paths;
  }

  void expect_violation(const std::string& text, const Calls& calls) const {
    EXPECT_THAT(violations(calls), ::testing::Contains(HasSubstr(text)));
  }

  /// A write to the root file system at `position`, through a descriptor opened before.
  SystemCall write_at(std::size_t position) const {
    return {.name = "pwrite64",
            .effect = Effect::content,
            .path = cache() / "elsewhere",
            .file = publication_.files.at("rootfs.ext4"),
            .result = 1,
            .begin = position,
            .end = position};
  }

  Calls calls_;
  Publication publication_;
};

// One of several fsyncs of a directory may be redundant, but not all of them.
TEST_F(CheckerTest, DetectsMissingFsyncs) {
  const std::set<fs::path> paths = synced_paths();
  EXPECT_GE(paths.size(), 6u) << "three files, and the three directories that hold names";
  for (const fs::path& path : paths) {
    Calls without = calls_;
    std::erase_if(without, [&](const SystemCall& call) { return is_sync_of(path, call); });
    EXPECT_THAT(violations(without), Not(IsEmpty())) << path;
  }
}

TEST_F(CheckerTest, DetectsFailedFsyncs) {
  for (const fs::path& path : synced_paths()) {
    Calls failing = calls_;
    for (SystemCall& call : failing) {
      if (is_sync_of(path, call)) call.result = -EIO;
    }
    EXPECT_THAT(violations(failing), Not(IsEmpty())) << path;
  }
}

TEST_F(CheckerTest, DetectsWriteBetweenFsyncAndRename) {
  calls_.push_back(write_at(publish(calls_)->begin - 1));
  expect_violation("published before it was durable: rootfs.ext4", calls_);
}

TEST_F(CheckerTest, DetectsWriteAfterRename) {
  calls_.push_back(write_at(publish(calls_)->end + 1));
  expect_violation("changed after it was published: rootfs.ext4", calls_);
}

TEST_F(CheckerTest, DetectsWriteThatHasNotReturned) {
  SystemCall write = write_at(1);
  write.result.reset();
  calls_.push_back(write);
  expect_violation("published before it was durable: rootfs.ext4", calls_);
}

TEST_F(CheckerTest, DetectsNameCreatedTooLate) {
  const SystemCall late{.name = "openat",
                        .effect = Effect::open,
                        .path = publish(calls_)->path / "late",
                        .result = 3,
                        .begin = publish(calls_)->begin - 1,
                        .end = publish(calls_)->begin - 1};
  calls_.push_back(late);
  expect_violation("before its names were durable", calls_);
}

TEST_F(CheckerTest, DetectsFileCreatedAtFinalName) {
  const SystemCall early{.name = "openat",
                         .effect = Effect::open,
                         .path = install_dir() / "vmlinux",
                         .result = 3,
                         .begin = 1,
                         .end = 1};
  calls_.push_back(early);
  expect_violation("at a final name: openat", calls_);
}

TEST_F(CheckerTest, DetectsEarlyReport) {
  std::ranges::find(calls_, publication_.output, &SystemCall::path)->begin =
      publish(calls_)->end + 1;
  expect_violation("reported before the rename was durable in linux-x86_64", calls_);
  expect_violation("reported before the rename was durable in staging", calls_);
}

TEST_F(CheckerTest, DetectsMissingPublication) {
  calls_.erase(publish(calls_));
  expect_violation("published 0 times", calls_);
}

}  // namespace
}  // namespace pyro::testing
