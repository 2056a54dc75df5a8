// Stores: installs in caches of other users are used and never written.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scenarios/machine_harness.h"
#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Words = std::vector<std::string>;

/// One environment in a store, and an empty cache.
class StoresTest : public RegistryHarness {
 protected:
  StoresTest() {
    offer(image_of(sample()));
    pyro_ok({"env", "pull", "tool:1", "--cache-dir", store_.string()});
    registry_->forget_requests();
    before_ = snapshot(store_);
  }
  ~StoresTest() override { EXPECT_EQ(snapshot(store_), before_) << "stores are only read"; }

  static Words with_store(Words words, const fs::path& store) {
    words.insert(words.end(), {"--store", store.string()});
    return words;
  }
  json asked(Words words, int exit_code = 0) const {
    return pyro_json(with_store(std::move(words), store_), exit_code);
  }
  void set_mode(const fs::path& path, int mode) {
    fs::permissions(path, fs::perms(mode));
    before_ = snapshot(store_);
  }

  const fs::path store_ = dir_ / "store";
  const fs::path stored_ = store_ / "linux-x86_64/tool_1-1.0.0";
  std::vector<std::string> before_;
};

TEST_F(StoresTest, UsesInstallOfStore) {
  EXPECT_EQ(asked({"env", "list"})["environments"].back()["install_dir"], stored_.string());
  const json inspected = asked({"env", "inspect", "tool:1"});
  EXPECT_EQ(inspected["installed"], true);
  EXPECT_EQ(inspected["install_dir"], stored_.string());
  EXPECT_EQ(inspected["cache_dir"], cache().string());
  const json pulled = asked({"env", "pull", "tool:1"});
  EXPECT_EQ(pulled["kernel_image"], (stored_ / "vmlinux").string());
  EXPECT_TRUE(registry_->requests().empty());
  EXPECT_FALSE(fs::exists(cache()));
}

TEST_F(StoresTest, VariableNamesStores) {
  const Variables stores{{"PYRO_STORES", (dir_ / "none").string() + ':' + store_.string()}};
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"}, 0, stores)["install_dir"], stored_.string());
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"})["installed"], false);
}

TEST_F(StoresTest, PrefersCacheOverStore) {
  asked({"env", "pull", "--force", "tool:1"});
  expect_installed(sample());
  EXPECT_EQ(asked({"env", "inspect", "tool:1"})["install_dir"], install_dir().string());
}

TEST_F(StoresTest, RejectsStoreWritableByOthers) {
  set_mode(store_, 0775);
  for (const Words& words : {Words{"env", "list"}, {"env", "pull", "tool:1"}, {"env", "verify"}}) {
    const ProcessResult result = pyro(with_store(words, store_));
    EXPECT_EQ(result.exit_code, 6) << words[1];
    expect_says(result.err, {store_.string() + " can be written by its group",
                             "chmod go-w " + store_.string()});
  }
}

TEST_F(StoresTest, RejectsInstallWritableByOthers) {
  set_mode(stored_ / "rootfs.ext4", 0666);
  const ProcessResult result = pyro(with_store({"env", "pull", "tool:1"}, store_));
  EXPECT_EQ(result.exit_code, 6);
  expect_says(result.err, {"rootfs.ext4 can be written by everybody", "chmod go-w "});
  const ProcessResult listed = pyro(with_store({"env", "inspect", "tool:1", "--json"}, store_));
  EXPECT_EQ(parse_json(listed.out)["installed"], false);
  expect_says(listed.err, {"counts as not installed"});
}

TEST_F(StoresTest, RejectsStoreOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  ASSERT_EQ(::chown(store_.c_str(), 54321, 54321), 0);
  const ProcessResult result = pyro(with_store({"env", "list"}, store_));
  EXPECT_EQ(result.exit_code, 6);
  expect_says(result.err, {"belongs to another user (54321)"});
}

TEST_F(StoresTest, RemoveNamesStoreThatKeepsInstall) {
  const ProcessResult result = pyro(with_store({"env", "remove", "tool:1"}, store_));
  EXPECT_EQ(result.exit_code, 1);
  expect_says(result.err, {"'tool:1' is in the store " + store_.string(), "not removed"});
  asked({"env", "pull", "--force", "tool:1"});
  const ProcessResult removed = pyro_ok(with_store({"env", "remove", "tool:1"}, store_));
  expect_says(removed.err, {"warning", store_.string()});
  EXPECT_FALSE(fs::exists(install_dir()));
}

TEST_F(StoresTest, PruneKeepsStatesOfStoredEnvironments) {
  const fs::path state = cache() / "prepared/tool_1/none/memory";
  write_file(state, "saved");
  EXPECT_EQ(asked({"env", "prune", "--all"})["count"], 0);
  EXPECT_TRUE(fs::exists(state));
  EXPECT_EQ(pyro_json({"env", "prune"})["count"], 1);
}

TEST_F(StoresTest, VerifiesAndExportsInstallOfStore) {
  EXPECT_EQ(asked({"env", "verify", "tool:1"})[0]["status"], "ok");
  pyro_ok(with_store({"env", "export", "tool:1", "-o", (dir_ / "out.tar").string()}, store_));
  EXPECT_FALSE(fs::exists(cache()));
  std::string bytes = read_file(stored_ / "vmlinux");
  bytes.back() ^= 1;
  write_file(stored_ / "vmlinux", bytes);
  before_ = snapshot(store_);
  EXPECT_EQ(asked({"env", "verify", "tool:1"}, 5)[0]["status"], "modified");
  asked({"env", "pull", "--repair", "tool:1"});
  expect_installed(sample());
}

TEST_F(StoresTest, DoctorReportsStores) {
  const auto finding = [&] {
    const ProcessResult result = pyro(with_store({"doctor", "--json"}, store_));
    const json document = parse_json(result.out);
    for (const json& found : document["findings"]) {
      if (found["name"] == "store") return found;
    }
    return json();
  };
  EXPECT_EQ(finding()["status"], "ok");
  set_mode(store_, 0777);
  EXPECT_EQ(finding()["status"], "missing");
  expect_says(finding()["remedy"], {"chmod go-w"});
}

/// Runs from a store.
class StoreRunTest : public MachineHarness {};

TEST_F(StoreRunTest, PreparesStateInOwnCache) {
  use_own_cache();
  const fs::path store = dir_ / "store";
  fs::create_directories(store);
  fs::rename(platform_dir(), store / "linux-x86_64");
  variables_["PYRO_STORES"] = store.string();
  const auto before = snapshot(store);
  prepare();
  EXPECT_TRUE(fs::exists(cache() / "prepared/tool_1/1-192-none/memory"));
  const ProcessResult result = run_in_guest({"true"}, {"--json"});
  EXPECT_EQ(parse_json(result.out)["started"], "warm") << result.err;
  EXPECT_EQ(snapshot(store), before);
  EXPECT_FALSE(fs::exists(platform_dir()));
  EXPECT_FALSE(fs::exists(cache() / "used"));
  pyro_ok({"env", "prune"});
  EXPECT_TRUE(fs::exists(cache() / "prepared/tool_1/1-192-none/memory"));
}

}  // namespace
}  // namespace pyro::testing
