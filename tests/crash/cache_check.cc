// Checks of a cache after a process or the whole machine stopped during a command.
#include "crash/cache_check.h"

#include <set>

#include "crash/tracer.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_there(const fs::path& directory, const Artifacts& artifacts) {
  return holds(directory / "vmlinux", artifacts.kernel) &&
         holds(directory / "rootfs.ext4", artifacts.rootfs);
}

std::set<std::string> names_in(const fs::path& directory) {
  std::set<std::string> names;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    names.insert(entry.path().filename());
  }
  return names;
}

}  // namespace

void InterruptedHarness::SetUp() {
  if (const auto reason = why_no_tracing()) GTEST_SKIP() << *reason;
}

Operation InterruptedHarness::first_install() {
  offer(image_of(sample()));
  const std::vector<std::string> pull{"env", "pull", "tool:1"};
  return {.words = pull, .again = pull, .before = std::nullopt, .after = sample()};
}

Operation InterruptedHarness::replacement() {
  pyro_ok(first_install().words);
  registry_->put(kRepository, "1", image_of(other_artifacts(6)));
  const std::vector<std::string> pull{"env", "pull", "--force", "tool:1"};
  return {.words = pull, .again = pull, .before = sample(), .after = other_artifacts(6)};
}

Operation InterruptedHarness::repair() {
  pyro_ok(first_install().words);
  Artifacts damaged = sample();
  damaged.rootfs.assign(damaged.rootfs.size(), '\0');
  write_file(install_dir() / "rootfs.ext4", damaged.rootfs);
  const std::vector<std::string> pull{"env", "pull", "--repair", "tool:1"};
  return {.words = pull,
          .again = pull,
          .before = damaged,
          .before_status = "modified",
          .after = sample()};
}

Operation InterruptedHarness::pruning() {
  pyro_ok(first_install().words);
  install_by_hand(other_artifacts(6), "stranger");
  install_by_hand(other_artifacts(7), "tool:1", "0.9.0");
  write_file(install_dir("broken") / "rootfs.ext4", "half");
  write_file(platform_dir() / ".partial-abc/layer-0.tar", "x");
  write_file(cache() / "staging/0123456789abcdef/candidate-0", "x");
  write_file(cache() / "partial/sha256-00", "x");
  return {.words = {"env", "prune"},
          .again = {"env", "pull", "tool:1"},
          .before = sample(),
          .after = sample()};
}

void InterruptedHarness::expect_old_or_new(const Operation& operation, bool reported) const {
  EXPECT_TRUE(pyro_json({"env", "list"}).contains("environments"));
  if (is_there(install_dir(), operation.after)) {
    EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
    return;
  }
  EXPECT_FALSE(reported) << "success was reported";
  if (!operation.before) {
    EXPECT_FALSE(fs::exists(install_dir())) << "half an install";
    EXPECT_EQ(pyro({"env", "verify", "tool:1"}).exit_code, 3);
    return;
  }
  EXPECT_TRUE(is_there(install_dir(), *operation.before)) << "neither the old nor the new";
  const int exit_code = operation.before_status == "ok" ? 0 : 5;
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"}, exit_code)[0]["status"],
            operation.before_status);
}

void InterruptedHarness::expect_recovery(const Operation& operation) const {
  using Names = std::set<std::string>;
  pyro_ok(operation.again);
  expect_installed(operation.after);
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
  pyro_ok({"env", "prune"});
  EXPECT_EQ(names_in(cache() / "staging"), Names());
  EXPECT_EQ(names_in(cache() / "partial"), Names());
  EXPECT_EQ(names_in(platform_dir()), Names{install_dir().filename()});
  EXPECT_EQ(names_in(install_dir()), (Names{"environment.json", "rootfs.ext4", "vmlinux"}));
  Names rooms = names_in(cache());
  rooms.erase("partial");
  EXPECT_EQ(rooms, (Names{"linux-x86_64", "locks", "staging"}));
}

}  // namespace pyro::testing
