// Several processes at one cache: shared downloads, lock waits, and no partial install.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

#include "scenarios/held_lock.h"
#include "scenarios/registry_harness.h"
#include "support/file_descriptor.h"
#include "support/long_tests.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct OpenFile {
  int number = -1;
  fs::path path = {};
  bool closed_on_exec = false;
  bool operator==(const OpenFile&) const = default;
};

std::vector<OpenFile> open_files(pid_t process) {
  const fs::path proc = "/proc/" + std::to_string(process);
  std::vector<OpenFile> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(proc / "fdinfo")) {
    OpenFile file{.number = std::stoi(entry.path().filename())};
    std::error_code error;
    file.path = fs::read_symlink(proc / "fd" / entry.path().filename(), error);
    std::ifstream info(entry.path());
    for (std::string word; info >> word;) {
      if (word != "flags:") continue;
      info >> word;
      file.closed_on_exec = (std::stoul(word, nullptr, 8) & O_CLOEXEC) != 0;
      files.push_back(file);
    }
  }
  return files;
}

std::vector<pid_t> children(pid_t process) {
  const std::string number = std::to_string(process);
  std::istringstream list(read_file("/proc/" + number + "/task/" + number + "/children"));
  return {std::istream_iterator<pid_t>(list), {}};
}

class ConcurrencyTest : public RegistryHarness {
 protected:
  ConcurrencyTest() { offer(image_of(sample())); }

  using Process = std::unique_ptr<BackgroundProcess>;

  Process start(std::vector<std::string> words) const {
    const std::string number = std::to_string(++started_);
    return std::make_unique<BackgroundProcess>(command(std::move(words)), dir_ / ("out" + number),
                                               dir_ / ("err" + number));
  }

  /// Layers stay incomplete until clear_rules().
  void hold_layers() {
    registry_->add_rule({.kind = RequestKind::blob}, faults::held_after(100'000));
  }

  /// A pull that holds the lock, and is downloading.
  Process start_pull() const {
    Process pull = start({"env", "pull", "tool:1"});
    pull->wait_until("it downloads", [&] { return registry_->count(RequestKind::blob) > 0; });
    return pull;
  }

  /// A pull that waits for the lock.
  Process start_waiting_pull(const std::vector<std::string>& options = {}) const {
    std::vector<std::string> words{"env", "pull", "tool:1"};
    words.insert(words.end(), options.begin(), options.end());
    Process pull = start(words);
    const fs::path err = dir_ / ("err" + std::to_string(started_));
    pull->wait_until("it waits",
                     [&] { return read_file(err).find("waiting") != std::string::npos; });
    return pull;
  }

  void expect_one_download_per_blob() const {
    std::map<std::string, int> gets;
    for (const RecordedRequest& request : registry_->requests()) {
      if (request.kind == RequestKind::blob) ++gets[request.reference];
    }
    EXPECT_FALSE(gets.empty());
    for (const auto& [digest, count] : gets) EXPECT_EQ(count, 1) << digest;
  }

  bool nothing_staged() const { return fs::is_empty(cache() / "staging"); }

  bool is_lock(const OpenFile& file) const { return file.path.parent_path() == cache() / "locks"; }

  mutable int started_ = 0;
};

TEST_F(ConcurrencyTest, EightPullsDownloadOnce) {
  hold_layers();
  std::vector<Process> pulls;
  pulls.push_back(start_pull());
  while (pulls.size() < 8) pulls.push_back(start_waiting_pull());
  registry_->clear_rules();
  for (const Process& pull : pulls) {
    const ProcessResult result = pull->wait();
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, install_dir().string() + "\n");
  }
  expect_one_download_per_blob();
  EXPECT_EQ(registry_->count(RequestKind::manifest), 1);
  expect_installed(sample());
  EXPECT_TRUE(nothing_staged());
}

TEST_F(ConcurrencyTest, EightEnvironmentsOfOneImageInstallAtOnce) {
  hold_layers();
  std::vector<json> entries;
  for (int i = 0; i < 8; ++i) {
    entries.push_back(oci_entry(registry_->host(), kRepository, "1", "tool:" + std::to_string(i)));
  }
  use_catalog(entries);
  std::vector<Process> pulls;
  for (const json& entry : entries) pulls.push_back(start({"env", "pull", entry["name"]}));
  ASSERT_TRUE(eventually([&] { return registry_->count(RequestKind::blob) == 8; }));
  registry_->clear_rules();
  for (const Process& pull : pulls) EXPECT_EQ(pull->wait().exit_code, 0);
  for (const json& entry : entries) expect_installed(sample(), entry["name"]);
  EXPECT_TRUE(nothing_staged());
}

TEST_F(ConcurrencyTest, WaiterTakesOverFromKilledHolder) {
  hold_layers();
  const Process holder = start_pull();
  const Process waiter = start_waiting_pull();
  registry_->clear_rules();
  holder->send_signal(SIGKILL);
  EXPECT_EQ(holder->wait().signal, SIGKILL);
  const ProcessResult result = waiter->wait();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_says(result.err, {"waiting for process " + std::to_string(holder->pid())});
  expect_installed(sample());
  EXPECT_EQ(pyro_json({"env", "prune"})["count"], 1) << "what the killed one staged";
  EXPECT_TRUE(nothing_staged());
}

TEST_F(ConcurrencyTest, LockTimeoutNamesStoppedHolder) {
  hold_layers();
  const Process holder = start_pull();
  holder->send_signal(SIGSTOP);
  const auto before = Clock::now();
  const ProcessResult waited = start_waiting_pull({"--lock-timeout", "1"})->wait();
  EXPECT_EQ(waited.exit_code, 75) << waited.err;
  EXPECT_GE(Clock::now() - before, 1s);
  const std::string pid = std::to_string(holder->pid());
  expect_says(waited.err, {"waiting for process " + pid, "another process (process " + pid + ")",
                           "--lock-timeout"});
  registry_->clear_rules();
  holder->send_signal(SIGCONT);
  holder->terminate();
}

// Like the probe of 'pyro env prune --dry-run'.
TEST_F(ConcurrencyTest, ExportWaitsForBriefUseLock) {
  pyro_ok({"env", "pull", "tool:1"});
  auto asking =
      std::unique_ptr<HeldLock>(new HeldLock(HeldLock::of_use(cache(), install_dir(), LOCK_EX)));
  BackgroundProcess user(command({"env", "export", "tool:1", "-o", (dir_ / "out.tar").string()}),
                         dir_ / "user");
  std::this_thread::sleep_for(300ms);
  asking.reset();
  EXPECT_EQ(user.wait().exit_code, 0) << user.output();
}

// Without the lock both processes download; the cache must stay intact.
TEST_F(ConcurrencyTest, RemovedLockCausesSecondDownloadOnly) {
  hold_layers();
  const Process first = start_pull();
  fs::remove_all(cache() / "locks");
  const Process second = start({"env", "pull", "tool:1"});
  ASSERT_TRUE(eventually([&] { return registry_->count(RequestKind::blob) == 2; }));
  registry_->clear_rules();
  EXPECT_EQ(first->wait().exit_code, 0);
  EXPECT_EQ(second->wait().exit_code, 0);
  expect_installed(sample());
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
  pyro_ok({"env", "prune"});
  EXPECT_TRUE(nothing_staged());
}

TEST_F(ConcurrencyTest, CacheRemovedDuringPullIsAnError) {
  hold_layers();
  const Process pull = start_pull();
  fs::remove_all(cache());
  registry_->clear_rules();
  const ProcessResult result = pull->wait();
  EXPECT_EQ(result.exit_code, 6) << result.err;
  expect_says(result.err, {"cannot install tool:1"});
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

// Child processes must inherit no descriptor, least of all a lock.
TEST_F(ConcurrencyTest, NoDescriptorLeaksIntoChildren) {
  hold_layers();
  const Process pull = start_pull();
  int locks = 0;
  for (const OpenFile& file : open_files(pull->pid())) {
    const bool of_the_cache = file.path.string().starts_with(cache().string());
    EXPECT_TRUE(!of_the_cache || file.closed_on_exec) << file.number << " " << file.path;
    locks += is_lock(file) ? 1 : 0;
  }
  EXPECT_EQ(locks, 2) << "of the environment, and of the staging directory";
  const auto ours = open_files(::getpid());  // inherited from the test runner
  for (const pid_t child : children(pull->pid())) {
    int sockets = 0;
    for (const OpenFile& file : open_files(child)) {
      if (std::ranges::find(ours, file) != ours.end()) continue;
      EXPECT_FALSE(is_lock(file)) << file.path;
      sockets += file.path.string().starts_with("socket:") ? 1 : 0;
    }
    EXPECT_LE(sockets, 1) << "more than the one to its parent: a connection to the registry";
  }
}

TEST_F(ConcurrencyTest, ConcurrentPrunesSucceed) {
  for (int i = 0; i < 60; ++i) {
    const std::string number = std::to_string(i);
    write_file(platform_dir() / (".partial-" + number) / "a/b/layer", "x");
    write_file(platform_dir() / ("broken-" + number) / "a/b/vmlinux", "x");
    write_file(cache() / "staging" / number / "a/b/candidate-0", "x");
  }
  std::vector<Process> prunes;
  for (int i = 0; i < 4; ++i) prunes.push_back(start({"env", "prune", "--json"}));
  for (const Process& prune : prunes) {
    const ProcessResult result = prune->wait();
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  }
  pyro_ok({"env", "prune"});
  EXPECT_TRUE(nothing_staged());
  EXPECT_TRUE(fs::is_empty(platform_dir()));
}

// Under load.

/// Minimum number of runs of each command.
int rounds() {
  return long_tests() ? 60 : 4;
}

class StressTest : public ConcurrencyTest {
 protected:
  StressTest() {
    registry_->put(kRepository, "2", image_of(second_));
    write_catalog(team_, {oci_entry(registry_->host(), kRepository, "2", "team:1")});
    pyro_ok({"env", "pull", "tool:1"});
  }

  /// Runs all commands at the same time, each repeatedly, until each ran rounds() times; `check`
  /// gets each result.
  struct Repeated {
    std::vector<std::string> words;
    std::function<void(const ProcessResult&)> check;
  };
  void repeat(const std::vector<Repeated>& all) const {
    std::atomic<std::size_t> unfinished = all.size();
    std::vector<std::jthread> threads;
    for (const Repeated& one : all) {
      threads.emplace_back([&] {
        for (int times = 1; unfinished > 0 && !HasFailure(); ++times) {
          one.check(pyro(one.words));
          if (times == rounds()) --unfinished;
        }
      });
    }
  }

  /// An install that exists throughout must always verify.
  static void expect_all_ok(const ProcessResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    for (const json& report : parse_json(result.out)) EXPECT_EQ(report["status"], "ok") << report;
  }

  const Artifacts second_ = other_artifacts(6);
  const fs::path team_ = dir_ / "team.json";
};

// The team's catalog is not loaded by prune, which therefore removes the team's install whenever it
// can; tool:1 is replaced all the time.
TEST_F(StressTest, ConcurrentPullPruneAndVerifySucceed) {
  const auto succeeds = [](const ProcessResult& result) {
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  };
  // Pruned between its publication and the check after it.
  const auto succeeds_or_is_disturbed = [](const ProcessResult& result) {
    EXPECT_TRUE(result.exit_code == 0 || result.exit_code == 1) << result.err;
    if (result.exit_code == 1) expect_says(result.err, {"was changed by another process"});
  };
  const auto lists_it = [](const ProcessResult& result) {
    const json environments = parse_json(result.out)["environments"];
    EXPECT_TRUE(std::ranges::any_of(environments, [](const json& environment) {
      return environment["name"] == "tool:1" && environment["installed"] == true;
    })) << result.out;
  };
  repeat({{{"env", "pull", "--force", "tool:1"}, succeeds},
          {{"env", "pull", "team:1", "--catalog", team_.string()}, succeeds_or_is_disturbed},
          {{"env", "prune", "--unknown"}, succeeds},
          {{"env", "verify", "--json", "tool:1"}, expect_all_ok},
          {{"env", "verify", "--json", "--catalog", team_.string()}, expect_all_ok},
          {{"env", "list", "--json"}, lists_it}});
  pyro_ok({"env", "prune", "--unknown"});
  EXPECT_TRUE(nothing_staged());
}

TEST_F(StressTest, ReaderSeesMatchingKernelAndRootfs) {
  std::jthread puller([&](const std::stop_token& stop) {
    for (int i = 0; !stop.stop_requested(); ++i) {
      registry_->put(kRepository, "1", image_of(i % 2 == 0 ? second_ : sample()));
      pyro_ok({"env", "pull", "--force", "-q", "tool:1"});
    }
  });
  const auto content = [](int directory, const char* name) {
    const FileDescriptor file(::openat(directory, name, O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(file) << name;
    std::string bytes(4 << 20, '\0');
    const ssize_t size = ::pread(file.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return bytes;
  };
  int looks[2] = {0, 0};
  while (std::min(looks[0], looks[1]) < rounds() && !HasFailure()) {
    const FileDescriptor directory(
        ::open(install_dir().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(directory);
    struct stat mine {};
    struct stat there {};
    const auto is_there = [&] {
      return ::stat(install_dir().c_str(), &there) == 0 && mine.st_ino == there.st_ino;
    };
    // As documented for users: take the lock, then check that the install is still the same.
    ASSERT_EQ(::fstat(directory.get(), &mine), 0);
    const fs::path lock = cache() / "locks" / (std::to_string(mine.st_ino) + ".use");
    const FileDescriptor use(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    struct stat held {};
    if (::flock(use.get(), LOCK_SH | LOCK_NB) != 0 || ::fstat(use.get(), &held) != 0) continue;
    if (::stat(lock.c_str(), &there) != 0 || held.st_ino != there.st_ino || !is_there()) continue;
    ASSERT_TRUE(eventually([&] { return !is_there(); })) << "it is replaced";
    const bool first = content(directory.get(), "vmlinux") == sample().kernel;
    EXPECT_TRUE(content(directory.get(), "vmlinux") == (first ? sample() : second_).kernel);
    EXPECT_TRUE(content(directory.get(), "rootfs.ext4") == (first ? sample() : second_).rootfs);
    ++looks[first ? 0 : 1];
  }
}

}  // namespace
}  // namespace pyro::testing
