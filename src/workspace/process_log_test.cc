#include "workspace/process_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

#include "base/directories.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using testing::TempDir;

class OutputLogTest : public ::testing::Test {
 protected:
  /// All that is kept from `offset` on, and how much is not.
  std::string read(std::uint64_t offset = 0) {
    std::string text;
    skipped_ = 0;
    while (true) {
      const ProcessOutput output = OutputLog::open(directory_.get(), "log")->read(offset, 100'000);
      skipped_ += output.skipped;
      offset = output.next;
      if (output.text.empty()) return text;
      text += output.text;
    }
  }

  TempDir dir_;
  Fd directory_ = open_directory(dir_.path());
  OutputLog log_ = OutputLog::make(directory_.get(), "log");
  std::uint64_t skipped_ = 0;
};

TEST_F(OutputLogTest, KeepsLittleOutputWhole) {
  EXPECT_EQ(read(), "");
  log_.append("one\n");
  log_.append("two\n");
  EXPECT_EQ(read(), "one\ntwo\n");
  EXPECT_EQ(read(4), "two\n");
  EXPECT_EQ(read(100), "");
}

TEST_F(OutputLogTest, KeepsAllThatFits) {
  std::string all;
  for (int i = 0; all.size() < 2 * OutputLog::kHalf - 100; ++i) all += std::to_string(i) + '\n';
  log_.append(all);
  EXPECT_EQ(read(), all);
  EXPECT_EQ(skipped_, 0u);
}

TEST_F(OutputLogTest, KeepsBeginningAndEndOfMuchOutput) {
  std::string all;
  for (int i = 0; all.size() < 3 * OutputLog::kHalf + 12'345; ++i) all += std::to_string(i) + '\n';
  for (std::size_t at = 0; at < all.size(); at += 77'777) log_.append(all.substr(at, 77'777));
  const std::string kept =
      all.substr(0, OutputLog::kHalf) + all.substr(all.size() - OutputLog::kHalf);
  EXPECT_TRUE(read() == kept);
  EXPECT_EQ(skipped_, all.size() - kept.size());
  EXPECT_EQ(read(all.size() - 10), all.substr(all.size() - 10));
  struct stat status {};
  ASSERT_EQ(::fstatat(directory_.get(), "log", &status, 0), 0);
  EXPECT_LE(static_cast<std::uint64_t>(status.st_size), 2 * OutputLog::kHalf + 4096);
}

TEST(ProcessRecords, TellOfProcessesThatRunAndHaveEnded) {
  const TempDir dir;
  const Fd workspace = open_directory(dir.path());
  EXPECT_TRUE(read_processes(workspace.get(), true).empty());
  ProcessRecord first = ProcessRecord::make(workspace.get(), {"sh", "-c", "exit \xff"});
  const ProcessRecord second = ProcessRecord::make(workspace.get(), {"sleep"});
  first.output().append("out");
  first.note_end({.exit_code = 3, .timed_out = true});
  const auto processes = read_processes(workspace.get(), true);
  ASSERT_EQ(processes.size(), 2u);
  EXPECT_EQ(processes[0].number, 1u);
  EXPECT_EQ(processes[0].end->exit_code, 3);
  EXPECT_TRUE(processes[0].end->timed_out);
  EXPECT_EQ(processes[1].command, std::vector<std::string>{"sleep"});
  EXPECT_FALSE(processes[1].end);
  EXPECT_EQ(read_processes(workspace.get(), false)[1].end->exit_code, kMachineEnded);
  EXPECT_EQ(read_output(workspace.get(), 1, false, 0, true).text, "out");
  EXPECT_TRUE(read_output(workspace.get(), 1, false, 3, true).has_ended);
  EXPECT_FALSE(read_output(workspace.get(), 2, false, 0, true).has_ended);
  EXPECT_THROW(static_cast<void>(read_output(workspace.get(), 3, false, 0, true)), Error);
}

TEST(ProcessRecords, OldestAreRemoved) {
  constexpr unsigned kMany = 80;
  const TempDir dir;
  const Fd workspace = open_directory(dir.path());
  const ProcessRecord runs = ProcessRecord::make(workspace.get(), {"sleep"});
  for (unsigned i = 0; i < kMany; ++i) {
    ProcessRecord::make(workspace.get(), {"true"}).note_end({});
  }
  const auto processes = read_processes(workspace.get(), true);
  EXPECT_LT(processes.size(), 70u);
  EXPECT_EQ(processes.front().number, 1u) << "it runs";
  EXPECT_EQ(processes.back().number, kMany + 1);
}

}  // namespace
}  // namespace pyro
