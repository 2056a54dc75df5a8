// System calls interrupted by signals: each is repeated, and all commands succeed.
#include <gtest/gtest.h>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class InterruptedCalls : public RegistryHarness {
 protected:
  InterruptedCalls() {
    offer(image_of(sample()));
    variables_["LD_PRELOAD"] = PYRO_FAILING_CALLS;
    variables_["ASAN_OPTIONS"] = "verify_asan_link_order=0";
    variables_["PYRO_TEST_INTERRUPT"] = "1";
  }

  fs::path file() const { return dir_ / "export.tar"; }
};

TEST_F(InterruptedCalls, PullVerifyRemoveAndPruneSucceed) {
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
  pyro_ok({"env", "pull", "tool:1", "--force"});
  pyro_ok({"env", "pull", "tool:1", "--repair"});
  pyro_ok({"env", "remove", "tool:1"});
  EXPECT_EQ(pyro_json({"env", "prune"})["failed"], json::array());
}

TEST_F(InterruptedCalls, ExportAndImportSucceed) {
  pyro_ok({"env", "pull", "tool:1"});
  pyro_ok({"env", "export", "tool:1", "-o", file().string()});
  EXPECT_TRUE(holds(file(), pyro_ok({"env", "export", "tool:1", "-o", "-"}).out));
  pyro_ok({"env", "import", file().string()});
  expect_installed(sample());
}

TEST_F(InterruptedCalls, PullFromDirectorySucceeds) {
  write_file(dir_ / "directory/vmlinux", sample().kernel);
  write_file(dir_ / "directory/rootfs.ext4", sample().rootfs);
  pyro_ok({"env", "add", "mine", (dir_ / "directory").string()});
  pyro_ok({"env", "pull", "mine"});
  expect_installed(sample(), "mine");
}

}  // namespace
}  // namespace pyro::testing
