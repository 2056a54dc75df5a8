// Many workspaces at once: random requests from several clients, against what each workspace must
// be. Without PYRO_LONG_TESTS a few of them only.
#include <gtest/gtest.h>

#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "scenarios/workspaces/workspace_harness.h"
#include "support/long_tests.h"

namespace pyro::testing {
namespace {

class WorkspaceStressTest : public WorkspaceHarness {};

/// The workspaces of one client, and what is known of them.
class RandomClient {
 public:
  using Words = std::vector<std::string>;
  using Run = std::function<ProcessResult(const Words& words)>;

  RandomClient(unsigned number, unsigned workspaces, Run run)
      : prefix_("c" + std::to_string(number) + "-"), random_(number), run_(std::move(run)) {
    for (unsigned i = 0; i < workspaces; ++i) fork("seed");
  }

  void step() {
    auto& [name, known] = *std::next(workspaces_.begin(), below(workspaces_.size()));
    switch (below(10)) {
      case 0:
        return expect_ok({"suspend", name});
      case 1:
        return expect_ok({"stop", name});
      case 2:
        expect_ok({"snapshot", name, "s" + std::to_string(++snapshots_)});
        known.snapshots["s" + std::to_string(snapshots_)] = known.content;
        return;
      case 3:
        return reset(name, known);
      case 4:
        return fork(name);
      case 5:
        if (workspaces_.size() > 2) {
          expect_ok({"delete", "--force", name});
          workspaces_.erase(name);
        }
        return;
      case 6:
        EXPECT_EQ(known.content.empty(), ask({"diff", name}).out.empty()) << name;
        return;
      default:
        known.content += std::to_string(below(10));
        expect_ok({"exec", name, "--", "sh", "-c", "printf %s " + known.content + " > file; sync"});
        EXPECT_EQ(content_of(name), known.content) << name;
    }
  }

  void expect_all() {
    for (const auto& [name, known] : workspaces_) {
      EXPECT_EQ(content_of(name), known.content) << name;
    }
  }

  [[nodiscard]] std::size_t size() const { return workspaces_.size(); }

 private:
  struct Known {
    std::string content = {};
    std::map<std::string, std::string> snapshots = {{"baseline", ""}};
  };

  std::size_t below(std::size_t end) { return random_() % end; }

  ProcessResult ask(Words words) {
    words.insert(words.begin(), "workspace");
    return run_(words);
  }

  void expect_ok(const Words& words) {
    const ProcessResult result = ask(words);
    EXPECT_EQ(result.exit_code, 0) << words[0] << ' ' << words[1] << ": " << result.err;
  }

  std::string content_of(const std::string& name) {
    return ask({"exec", name, "--", "sh", "-c", "cat file 2>/dev/null || :"}).out;
  }

  void reset(const std::string& name, Known& known) {
    const auto& [snapshot, content] =
        *std::next(known.snapshots.begin(), static_cast<long>(below(known.snapshots.size())));
    const std::string before = std::exchange(known.content, std::string(content));
    expect_ok({"reset", name, "--to", snapshot});
    known.snapshots["before-reset"] = before;
  }

  void fork(const std::string& name) {
    const std::string made = prefix_ + std::to_string(++forks_);
    expect_ok({"fork", name, made});
    const auto known = workspaces_.find(name);
    workspaces_[made] = {.content = known == workspaces_.end() ? "" : known->second.content};
  }

  const std::string prefix_;
  std::mt19937 random_;
  const Run run_;
  std::map<std::string, Known> workspaces_;
  unsigned forks_ = 0;
  unsigned snapshots_ = 0;
};

TEST_F(WorkspaceStressTest, ManyWorkspacesAreWhatTheyMustBe) {
  constexpr unsigned kClients = 4;
  const unsigned each = long_tests() ? 12 : 5;
  const int steps = long_tests() ? 300 : 25;
  create("seed", {"--idle", "5s"});
  std::vector<std::size_t> left(kClients);
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < kClients; ++number) {
    threads.emplace_back([&, number] {
      RandomClient client(number, each, [&](const Words& words) { return run(command(words)); });
      for (int i = 0; i < steps && !HasFailure(); ++i) client.step();
      client.expect_all();
      left[number] = client.size();
    });
  }
  std::size_t all = 1;
  for (unsigned number = 0; number < kClients; ++number) {
    threads[number].join();
    all += left[number];
  }
  EXPECT_EQ(names().size(), all);
  std::cout << kClients * each << " workspaces, " << kClients * static_cast<unsigned>(steps)
            << " requests of " << kClients << " clients, " << all << " workspaces at the end"
            << std::endl;
}

}  // namespace
}  // namespace pyro::testing
