// Cuts the power while a workspace runs, is suspended, or gets a snapshot: what programs in it have
// flushed is there afterwards. Without PYRO_LONG_TESTS a few times only.
//
// Workspaces are on a file system in a file, which is a file of an XFS. A clone of it, made while
// all goes on, has at one instant the bytes that were submitted to the device, without those that
// are in memory only. (Devices that lose acknowledged writes are not modelled.)
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "scenarios/private_mount.h"
#include "scenarios/workspaces/workspace_harness.h"
#include "support/background_process.h"
#include "support/long_tests.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

struct HostFileSystem {
  const char* name;
  std::vector<std::string> make;
};

/// What goes on when the power is cut.
struct Situation {
  const char* name;
  std::vector<std::string> words;  ///< Of pyro; none: the processes of the workspace alone.
};

using PowerRow = std::tuple<HostFileSystem, Situation>;

class WorkspacePowerTest : public WorkspaceHarness, public ::testing::WithParamInterface<PowerRow> {
 protected:
  void SetUp() override {
    WorkspaceHarness::SetUp();
    if (IsSkipped()) return;
    const auto& [file_system, situation] = GetParam();
    make_image(outer(), {"mkfs.xfs", "-q", "-m", "reflink=1"}, 12 * kGiB);
    fs::create_directories(images());
    images_ = PrivateMount::image(outer(), images(), "xfs");
    make_image(work(), file_system.make, 2 * kGiB);
    if (!images_ || !mount(work())) {
      GTEST_SKIP() << "needs the right to mount, loop devices, and a kernel that knows XFS and "
                   << file_system.name;
    }
  }

  void TearDown() override {
    if (!IsSkipped()) kill_all();
    mounted_.reset();
    images_.reset();
  }

  fs::path outer() const { return dir_ / "outer.img"; }
  fs::path images() const { return dir_ / "images"; }
  fs::path work() const { return images() / "work.img"; }
  fs::path base() const { return images() / "base.img"; }
  fs::path cut() const { return images() / "cut.img"; }

  bool mount(const fs::path& image) {
    const fs::path place = home() / ".local/state";
    fs::create_directories(place);
    mounted_ = PrivateMount::image(image, place, std::get<0>(GetParam()).name);
    return mounted_ != nullptr;
  }

  static void clone(const fs::path& from, const fs::path& to) {
    run_checked({.argv = {"cp", "--reflink=always", from.string(), to.string()}});
  }

  /// Supervisors are killed before their machines: those would tell them of their end.
  void kill_all() const {
    for (const pid_t pid : processes_of_workspaces()) ::kill(pid, SIGKILL);
    EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
  }

  /// The last number that the process has printed, after it had flushed it.
  [[nodiscard]] int acknowledged() const {
    const auto lines = lines_of(pyro_ok({"workspace", "logs", "w", "1"}).out);
    return lines.empty() ? 0 : std::stoi(lines.back());
  }

  /// The last number in the file; all before it must be there.
  [[nodiscard]] int written() const {
    std::istringstream text(script("cat log").out);
    int count = 0;
    for (std::string line; std::getline(text, line) && !text.eof();) {
      EXPECT_EQ(line, std::to_string(++count));
    }
    return count;
  }

  std::unique_ptr<PrivateMount> images_;
  std::unique_ptr<PrivateMount> mounted_;

 private:
  static void make_image(const fs::path& file, std::vector<std::string> words, std::uint64_t size) {
    write_file(file, "");
    fs::resize_file(file, size);
    words.push_back(file.string());
    run_checked({.argv = words});
  }
};

TEST_P(WorkspacePowerTest, WhatWasFlushedIsThere) {
  const auto& [file_system, situation] = GetParam();
  create();
  script("n=0; while :; do n=$((n + 1)); echo $n >> log; sync; echo $n; done", {"--detach"});
  pyro_ok({"workspace", "suspend", "w"});
  EXPECT_TRUE(eventually([&] { return processes_of_workspaces().empty(); }));
  mounted_.reset();
  clone(work(), base());
  const int cuts = long_tests() ? 30 : 3;
  int last = 0;
  for (int i = 0; i < cuts && !HasFailure(); ++i) {
    SCOPED_TRACE("cut " + std::to_string(i));
    clone(base(), work());
    ASSERT_TRUE(eventually([&] { return mount(work()); }));
    const int begin = acknowledged();
    script("true");  // the process goes on
    EXPECT_TRUE(eventually([&] { return acknowledged() > begin + 2; }));
    std::unique_ptr<BackgroundProcess> operation;
    if (!situation.words.empty()) {
      operation = std::make_unique<BackgroundProcess>(command(situation.words), dir_ / "out");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(i * 600 / cuts));
    const int before = acknowledged();
    clone(work(), cut());
    kill_all();
    operation.reset();
    mounted_.reset();
    // An XFS is there once, and what ended may still have files of it open.
    ASSERT_TRUE(eventually([&] { return mount(cut()); }));
    EXPECT_GE(written(), before);
    EXPECT_EQ(names(), Words{"w"});
    EXPECT_EQ(pyro({"workspace", "snapshot", "w", "after"}).exit_code, 0);
    last = std::max(last, before - begin);
    kill_all();
    mounted_.reset();
  }
  EXPECT_GT(last, 0);
  std::cout << cuts << " cuts on " << file_system.name << ", " << situation.name << ": up to "
            << last << " acknowledged writes" << std::endl;
}

INSTANTIATE_TEST_SUITE_P(
    FileSystems, WorkspacePowerTest,
    ::testing::Combine(::testing::Values(HostFileSystem{"ext4", {"mkfs.ext4", "-q"}},
                                         HostFileSystem{"xfs", {"mkfs.xfs", "-q"}},
                                         HostFileSystem{"btrfs", {"mkfs.btrfs", "-q"}}),
                       ::testing::Values(Situation{"Running", {}},
                                         Situation{"Suspend", {"workspace", "suspend", "w"}},
                                         Situation{"Snapshot", {"workspace", "snapshot", "w"}})),
    [](const auto& row) {
      return std::string(std::get<0>(row.param).name) + std::get<1>(row.param).name;
    });

}  // namespace
}  // namespace pyro::testing
