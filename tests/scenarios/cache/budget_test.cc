// Disk usage, prune by age and size, and checks of free space.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <limits>

#include "scenarios/held_lock.h"
#include "scenarios/machine_harness.h"
#include "scenarios/private_mount.h"
#include "scenarios/registry_harness.h"
#include "support/artifacts.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Words = std::vector<std::string>;

constexpr std::time_t kDay = 86400;
constexpr std::size_t kMiB = std::size_t{1} << 20;

class BudgetTest : public PyroHarness {
 protected:
  BudgetTest() { use_catalog({entry("a"), entry("b"), entry("c")}); }

  /// A good install of slightly more than 1 MiB, last used `days_ago`.
  void install(const std::string& name, int days_ago, const json& more = json::object()) const {
    const fs::path folder = install_dir(name);
    write_file(folder / "vmlinux", "kernel");
    write_file(folder / "rootfs.ext4", std::string(kMiB, 'r'));
    json record = reference_record(name, "1.0.0", "cache", nullptr);
    record.update(more);
    if (!more.contains("installed_at")) record["installed_at"] = std::time(nullptr) - 100 * kDay;
    write_file(folder / "environment.json", reference_json(record));
    use(name, days_ago);
  }

  fs::path mark(const std::string& name) const {
    return cache() / "used" / install_dir(name).filename();
  }

  void use(const std::string& name, int days_ago) const {
    write_file(mark(name), "");
    const auto time = fs::file_time_type::clock::now() - std::chrono::hours(24 * days_ago);
    fs::last_write_time(mark(name), time);
  }

  void install_three() const {
    install("a", 1);
    install("b", 40);
    install("c", 10);
  }

  std::vector<std::string> pruned(Words options) const {
    Words words{"env", "prune"};
    words.insert(words.end(), options.begin(), options.end());
    Words dry = words;
    dry.emplace_back("--dry-run");
    const auto before = snapshot(cache());
    const json rehearsal = pyro_json(dry);
    EXPECT_EQ(snapshot(cache()), before);
    json report = pyro_json(words);
    EXPECT_EQ(rehearsal["dry_run"], true);
    report["dry_run"] = true;
    EXPECT_EQ(rehearsal, report) << "a rehearsal says what will happen";
    return report["deleted_environment_dirs"].get<std::vector<std::string>>();
  }
  using Names = std::vector<std::string>;
};

TEST_F(BudgetTest, KeepsInstallsByDefault) {
  install_three();
  EXPECT_EQ(pruned({}), Names());
}

TEST_F(BudgetTest, AllOptionRemovesEveryInstall) {
  install_three();
  EXPECT_EQ(pruned({"--all"}), (Names{"a-1.0.0", "b-1.0.0", "c-1.0.0"}));
  EXPECT_TRUE(cache_state().empty());
  EXPECT_TRUE(fs::is_empty(cache() / "used"));
  EXPECT_EQ(pruned({"--all"}), Names());
}

TEST_F(BudgetTest, OlderThanRemovesByLastUse) {
  install_three();
  EXPECT_EQ(pruned({"--older-than", "6w"}), Names());
  EXPECT_EQ(pruned({"--older-than", "42"}), Names()) << "days";
  EXPECT_EQ(pruned({"--older-than", "30d"}), Names{"b-1.0.0"});
  EXPECT_EQ(pruned({"--older-than", "36h"}), Names{"c-1.0.0"});
  EXPECT_EQ(pruned({"--older-than", "2w"}), Names());
}

TEST_F(BudgetTest, KeepStorageRemovesLeastRecentlyUsedFirst) {
  install_three();
  EXPECT_EQ(pruned({"--keep-storage", "10MiB"}), Names());
  EXPECT_EQ(pruned({"--keep-storage", "3MiB"}), Names{"b-1.0.0"});
  EXPECT_EQ(pruned({"--keep-storage", "1.5MiB"}), Names{"c-1.0.0"});
  EXPECT_EQ(pruned({"--keep-storage", "1KiB"}), Names{"a-1.0.0"});
}

TEST_F(BudgetTest, CombinesOlderThanAndKeepStorage) {
  install_three();
  EXPECT_EQ(pruned({"--older-than", "30d", "--keep-storage", "1.5MiB"}),
            (Names{"b-1.0.0", "c-1.0.0"}));
}

// With limits, --all keeps what the limits keep.
TEST_F(BudgetTest, LimitsNarrowAllOption) {
  install_three();
  EXPECT_EQ(pruned({"--all", "--older-than", "30d", "--keep-storage", "10GiB"}), Names{"b-1.0.0"});
  EXPECT_EQ(pruned({"--all", "--keep-storage", "10GiB"}), Names());
}

TEST_F(BudgetTest, PreparedStatesCountAndAreRemoved) {
  install_three();
  write_file(cache() / "prepared/a/none/memory", std::string(4 * kMiB, 'm'));
  EXPECT_EQ(pruned({"--keep-storage", "6.5MiB"}), Names{"b-1.0.0"}) << "1 + 4 and 1 are left";
  EXPECT_EQ(pruned({"--keep-storage", "2MiB"}), (Names{"a-1.0.0", "c-1.0.0", "prepared/a"}));
}

TEST_F(BudgetTest, RemovesNextInstallWhenOneIsInUse) {
  install_three();
  const auto used = HeldLock::of_use(cache(), install_dir("b"));
  const json report = pyro_json({"env", "prune", "--keep-storage", "2.5MiB"});
  EXPECT_EQ(report["deleted_environment_dirs"], json({"c-1.0.0"}));
  EXPECT_EQ(report["skipped_in_use"], json({"b-1.0.0"}));
  EXPECT_TRUE(fs::exists(install_dir("b") / "vmlinux"));
}

TEST_F(BudgetTest, KeepsInstallsOfCatalogsThatAreNotLoaded) {
  install_three();
  install("theirs", 90, {{"catalog_file", "/not/loaded.json"}});
  EXPECT_EQ(pruned({"--keep-storage", "1KiB"}), (Names{"a-1.0.0", "b-1.0.0", "c-1.0.0"}));
  EXPECT_EQ(pruned({"--all"}), Names());
  EXPECT_EQ(pruned({"--all", "--unknown"}), Names{"theirs-1.0.0"});
}

TEST_F(BudgetTest, UsesInstallTimeWithoutMark) {
  install_three();
  fs::remove_all(cache() / "used");
  EXPECT_EQ(pruned({"--older-than", "101d"}), Names());
  EXPECT_EQ(pruned({"--older-than", "99d"}), (Names{"a-1.0.0", "b-1.0.0", "c-1.0.0"}));
}

// Invalid times must not make an install old, or overflow.
TEST_F(BudgetTest, ToleratesInvalidTimes) {
  install("a", -36500);
  install("b", -1);
  install("c", 0, {{"installed_at", std::int64_t{9'000'000'000'000'000'000}}});
  EXPECT_EQ(pruned({"--older-than", "1m"}), Names());
  const json document = pyro_json({"env", "du"});
  for (const json& usage : document["environments"]) {
    EXPECT_TRUE(usage["last_used"].get<std::string>().starts_with("20")) << usage;
  }
  fs::remove_all(cache() / "used");
  install("b", 0, {{"installed_at", std::numeric_limits<std::int64_t>::min()}});
  fs::remove_all(cache() / "used");
  EXPECT_EQ(pruned({"--older-than", "1000000000w"}), Names());
  EXPECT_EQ(pruned({"--older-than", "40d"}), (Names{"a-1.0.0", "b-1.0.0"}));
}

TEST_F(BudgetTest, ToleratesInvalidMarks) {
  install_three();
  fs::remove_all(cache() / "used");
  write_file(cache() / "used", "a file");
  EXPECT_EQ(pruned({"--older-than", "99d"}), (Names{"a-1.0.0", "b-1.0.0", "c-1.0.0"}));
  fs::remove(cache() / "used");
  install_three();
  write_file(dir_ / "outside/a-1.0.0", "mine");
  fs::remove_all(cache() / "used");
  fs::create_directory_symlink(dir_ / "outside", cache() / "used");
  pruned({"--all"});
  EXPECT_TRUE(fs::exists(dir_ / "outside/a-1.0.0"));
}

TEST_F(BudgetTest, RejectsInvalidLimits) {
  for (const Words& words : std::vector<Words>{{"--older-than", "-1d"},
                                               {"--older-than", "1y"},
                                               {"--older-than", "99999999999999999999d"},
                                               {"--keep-storage", "much"},
                                               {"--keep-storage", "-1GiB"},
                                               {"--keep-storage", "0"},
                                               {"--keep-storage", "1e30"}}) {
    Words all{"env", "prune"};
    all.insert(all.end(), words.begin(), words.end());
    const ProcessResult result = pyro(all);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    expect_says(result.err, {words[0], words[1]});
  }
}

// --- confirmation ---

class PrunePromptTest : public BudgetTest {
 protected:
  PrunePromptTest() { install_three(); }
  void SetUp() override {
    if (!find_program("script")) GTEST_SKIP() << "needs script(1) for a terminal";
  }

  ProcessResult answer(const std::string& text, const Words& options) const {
    Command made = command({"env", "prune"});
    made.argv.insert(made.argv.end(), options.begin(), options.end());
    std::string line;
    for (const std::string& word : made.argv) line += "'" + word + "' ";
    made.argv = {"script", "-qefc", line, "/dev/null"};
    made.stdin_text = text;
    return run(made);
  }

  bool is_there(const std::string& name) const { return fs::exists(install_dir(name)); }
};

TEST_F(PrunePromptTest, RemovesOnlyAfterYes) {
  for (const char* text : {"\n", "n\n", "no\n", "whatever\n"}) {
    const ProcessResult asked = answer(text, {"--all"});
    EXPECT_EQ(asked.exit_code, 1) << asked.out;
    expect_says(asked.out, {"would remove a-1.0.0", "[y/N]", "nothing was removed"});
    EXPECT_TRUE(is_there("a"));
  }
  EXPECT_EQ(answer("y\n", {"--older-than", "30d"}).exit_code, 0);
  EXPECT_TRUE(is_there("a"));
  EXPECT_FALSE(is_there("b"));
}

TEST_F(PrunePromptTest, AppearsOnlyBeforeInstallsAreRemoved) {
  write_file(cache() / "staging/abc/file", "x");
  for (const Words& options :
       std::vector<Words>{{}, {"--all", "--dry-run"}, {"--keep-storage", "10GiB", "-y"}}) {
    const ProcessResult result = answer("", options);
    EXPECT_EQ(result.exit_code, 0) << result.out;
    expect_hides(result.out, {"[y/N]"});
    EXPECT_TRUE(is_there("a"));
  }
  expect_hides(answer("", {"--all", "--yes"}).out, {"[y/N]"});
  EXPECT_FALSE(is_there("a"));
}

TEST_F(PrunePromptTest, IsSkippedWithoutTerminal) {
  expect_hides(pyro_ok({"env", "prune", "--all"}).err, {"[y/N]"});
  EXPECT_FALSE(is_there("a"));
}

// --- disk usage ---

TEST_F(BudgetTest, DuMatchesDuCommand) {
  install_three();
  write_file(cache() / "prepared/a/none/memory", std::string(2 * kMiB, 'm'));
  write_file(cache() / "partial/0123", std::string(50'000, 'p'));
  write_file(cache() / "staging/abc/candidate-0", std::string(70'000, 's'));
  write_file(cache() / "locks/a-1.0.0.lock", "1\n");
  write_file(platform_dir() / "broken/vmlinux", "half");
  fs::resize_file(install_dir("b") / "rootfs.ext4", std::uintmax_t{1} << 40);
  const json usage = pyro_json({"env", "du"});
  const std::string du = run_checked({.argv = {"du", "-s", "-B1", cache().string()}}).out;
  EXPECT_EQ(usage["total_bytes"], std::stoull(du)) << usage;
  std::uint64_t sum = usage["partial_bytes"].get<std::uint64_t>() +
                      usage["staging_bytes"].get<std::uint64_t>() +
                      usage["other_bytes"].get<std::uint64_t>();
  ASSERT_EQ(usage["environments"].size(), 4U);
  for (const json& one : usage["environments"]) {
    sum += one["disk_bytes"].get<std::uint64_t>() + one["prepared_bytes"].get<std::uint64_t>();
  }
  EXPECT_EQ(usage["total_bytes"], sum);
  const json& a = usage["environments"][0];
  EXPECT_EQ(a["name"], "a");
  EXPECT_EQ(a["version"], "1.0.0");
  EXPECT_GE(a["prepared_bytes"], 2 * kMiB);
  EXPECT_EQ(a["states"][0]["name"], "none");
  EXPECT_EQ(a["states"][0]["disk_bytes"], a["prepared_bytes"]);
  EXPECT_GE(usage["partial_bytes"], 50'000);
  EXPECT_GE(usage["staging_bytes"], 70'000);
  const json& broken = usage["environments"][2];
  EXPECT_EQ(broken["directory"], "broken");
  EXPECT_EQ(broken["name"], nullptr);
  EXPECT_EQ(broken["last_used"], nullptr);
}

TEST_F(BudgetTest, DuAndInspectShowEachState) {
  install("a", 1);
  install("b", 1);
  write_file(cache() / "prepared/a/1-512-none/memory", std::string(2 * kMiB, 'm'));
  write_file(cache() / "prepared/a/kernel-1-512-none/memory", std::string(kMiB, 'm'));
  write_file(cache() / "prepared/a/.1-512-none", "");  // a mark of a start
  EXPECT_EQ(pyro_json({"env", "du"})["environments"][0]["states"],
            pyro_json({"env", "inspect", "a"})["states"]);
  for (const Words& words : {Words{"env", "du", "--states"}, Words{"env", "inspect", "a"}}) {
    const std::string text = pyro_ok(words).out;
    expect_says(text, {"1-512-none", "2.0 MiB", "kernel-1-512-none", "1.0 MiB"});
    expect_hides(text, {".1-512-none"});
  }
  expect_hides(pyro_ok({"env", "du"}).out, {"1-512-none"});
  EXPECT_FALSE(pyro_json({"env", "inspect", "b"}).contains("states"));
}

TEST_F(BudgetTest, DuOfMissingCacheShowsZero) {
  const json usage = pyro_json({"env", "du"});
  EXPECT_EQ(usage["total_bytes"], 0);
  EXPECT_EQ(usage["environments"], json::array());
  EXPECT_FALSE(fs::exists(cache())) << "looking makes nothing";
  expect_says(pyro_ok({"env", "du"}).out, {"NAME", "LAST USED", "total", "0 B"});
}

TEST_F(BudgetTest, DuCountsLinksAsLinks) {
  write_file(dir_ / "bundle/profiles/tool/vmlinux", std::string(2 * kMiB, 'k'));
  write_file(dir_ / "bundle/profiles/tool/rootfs.ext4", std::string(2 * kMiB, 'r'));
  pyro_ok({"env", "pull", "a", "--runtime-dir", (dir_ / "bundle").string()});
  EXPECT_LT(pyro_json({"env", "du"})["environments"][0]["disk_bytes"], 100'000);
}

// The name in a record is untrusted, and becomes a path.
TEST_F(BudgetTest, DuStaysInsideTheCache) {
  write_file(dir_ / "outside/large", std::string(4 * kMiB, 'x'));
  install("a", 1);
  fs::create_directories(cache() / "prepared");
  json record = reference_record("../../../../../outside", "1.0.0", "cache", nullptr);
  record["catalog_file"] = "/not/loaded.json";
  write_file(platform_dir() / "odd/environment.json", reference_json(record));
  const json document = pyro_json({"env", "du"});
  for (const json& one : document["environments"]) {
    EXPECT_EQ(one["prepared_bytes"], 0) << one;
  }
  EXPECT_EQ(pruned({"--keep-storage", "3MiB"}), Names());
}

// --- marks of use ---

class UseTest : public MachineHarness {
 protected:
  fs::path mark() const { return cache() / "used/tool_1-1.0.0"; }
  void make_old(const fs::path& file) const {
    fs::last_write_time(file, fs::file_time_type::clock::now() - std::chrono::hours(24 * 365));
  }
  bool is_fresh() const {
    return fs::last_write_time(mark()) >
           fs::file_time_type::clock::now() - std::chrono::minutes(10);
  }
};

TEST_F(UseTest, RunUpdatesMark) {
  use_own_cache();
  EXPECT_EQ(run_in_guest({"true"}).exit_code, 0);
  ASSERT_TRUE(fs::exists(mark()));
  make_old(mark());
  pyro_ok({"env", "pull", "tool:1"});
  pyro_ok({"env", "inspect", "tool:1"});
  EXPECT_FALSE(is_fresh()) << "a pull of what is installed writes nothing";
  EXPECT_EQ(run_in_guest({"true"}).exit_code, 0);
  EXPECT_TRUE(is_fresh());
}

TEST_F(UseTest, RunSucceedsWhereMarkCannotBeWritten) {
  use_own_cache();
  write_file(cache() / "used", "a file");
  EXPECT_EQ(run_in_guest({"true"}).exit_code, 0);
  fs::remove(cache() / "used");
  fs::create_directories(dir_ / "outside");
  fs::create_directory_symlink(dir_ / "outside", cache() / "used");
  EXPECT_EQ(run_in_guest({"true"}).exit_code, 0);
  EXPECT_TRUE(fs::is_empty(dir_ / "outside"));
  fs::remove(cache() / "used");
  const auto mounted = PrivateMount::read_only(cache());
  if (!mounted) GTEST_SKIP() << "may not mount here";
  EXPECT_EQ(run_in_guest({"true"}).exit_code, 0);
}

// --- free space ---

class FreeSpaceTest : public RegistryHarness {
 protected:
  void SetUp() override {
    mounted_ = PrivateMount::tmpfs(cache(), "size=4m,mode=755");
    if (!mounted_) GTEST_SKIP() << "needs the right to mount a small file system";
  }

  std::unique_ptr<PrivateMount> mounted_;
};

TEST_F(FreeSpaceTest, IsCheckedBeforeDownload) {
  Artifacts large = sample();
  large.rootfs = noise(6 * kMiB);
  offer(ImageBuilder().layer(tar_of(large)).build());
  const auto before = cache_state();
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 6) << result.err;
  expect_says(result.err, {"cannot install tool:1", "need at least 6.0 MiB",
                           "free on " + cache().string(), "missing", "--cache-dir"});
  EXPECT_EQ(registry_->count(RequestKind::blob), 0);
  EXPECT_EQ(cache_state(), before);
  EXPECT_TRUE(fs::is_empty(cache() / "staging"));
}

TEST_F(FreeSpaceTest, IsCheckedForArchive) {
  Artifacts large = sample();
  large.rootfs = noise(6 * kMiB);
  write_file(dir_ / "vm.tar.zst", compress(tar_of(large), Compression::zstd));
  use_catalog({archive_entry((dir_ / "vm.tar.zst").string())});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 6) << result.err;
  expect_says(result.err, {"need at least 6.0 MiB", "missing"});
}

TEST_F(FreeSpaceTest, IsCheckedForImageLayout) {
  Artifacts large = sample();
  large.rootfs = noise(6 * kMiB);
  write_oci_layout(ImageBuilder().layer(tar_of(large)).build(), dir_ / "layout", "1");
  use_catalog({archive_entry("oci:" + (dir_ / "layout").string())});
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"env", "pull", "tool:1"},
        {"env", "import", (dir_ / "layout").string(), "1", "--as", "tool:1"}}) {
    const ProcessResult result = pyro(words);
    EXPECT_EQ(result.exit_code, 6) << result.err;
    expect_says(result.err, {"need at least 6.0 MiB", "missing"});
  }
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(FreeSpaceTest, IsCheckedForDirectory) {
  write_file(dir_ / "out/vmlinux", kernel_with("kernel"));
  write_file(dir_ / "out/rootfs.ext4", file_system_with(noise(6 * kMiB)));
  use_catalog({archive_entry((dir_ / "out").string())});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 6) << result.err;
  expect_says(result.err, {"need at least 6.0 MiB", "missing"});
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(FreeSpaceTest, ErrorTellsMissingSpaceWhenDiskFillsUp) {
  Artifacts large = sample();
  large.rootfs = std::string(6 * kMiB, 'x');  // compresses to nearly nothing, and is no hole
  offer(ImageBuilder().layer(tar_of(large)).build());
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 6) << result.err;
  expect_says(result.err, {"cannot install tool:1", "need more than 3.",
                           "all that was free on " + cache().string(), "cannot write rootfs.ext4",
                           "No space left on device", "--cache-dir"});
  EXPECT_TRUE(cache_state().empty());
}

// Holes take no space: the size of a plain tar is no lower bound.
TEST_F(FreeSpaceTest, IsNotNeededForHoles) {
  Artifacts hollow = sample();
  hollow.rootfs.resize(16 * kMiB, '\0');
  write_file(dir_ / "vm.tar", tar_of(hollow));
  offer(ImageBuilder().layer(tar_of(hollow), Compression::none).build());
  // A kept partial download has no holes and would fill the disk.
  pyro_ok({"env", "pull", "tool:1"}, {{"PYRO_KEEP_AFTER", "60"}});
  use_catalog({archive_entry((dir_ / "vm.tar").string(), "plain")});
  pyro_ok({"env", "pull", "plain"});
  expect_installed(hollow, "plain");
}

}  // namespace
}  // namespace pyro::testing
