// What pyro doctor finds, on hosts that lack this and that.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

using nlohmann::json;

class DoctorTest : public RegistryHarness {
 protected:
  DoctorTest() { offer(image_of(sample())); }

  json examine(std::vector<std::string> options, int exit_code) {
    options.insert(options.begin(), {"doctor", "--json"});
    const ProcessResult result = pyro(options);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    return parse_json(result.out);
  }

  static json finding(const json& document, const std::string& name) {
    for (const json& each : document["findings"]) {
      if (each["name"] == name) return each;
    }
    return nullptr;
  }
};

TEST_F(DoctorTest, WithoutAMonitorSomethingNeededIsMissing) {
  variables_["PYRO_QEMU"] = "/nonexistent/qemu";
  const json document = examine({}, 1);
  EXPECT_EQ(document["ok"], false);
  EXPECT_EQ(finding(document, "monitor")["status"], "missing");
  EXPECT_EQ(finding(document, "monitor")["remedy"], "apt install qemu-system-x86");
}

TEST_F(DoctorTest, AnOldMonitorIsAsGoodAsNone) {
  write_file(home() / "qemu", "#!/bin/sh\necho 'QEMU emulator version 7.1.9'\n");
  ::chmod((home() / "qemu").c_str(), 0755);
  variables_["PYRO_QEMU"] = (home() / "qemu").string();
  expect_says(finding(examine({}, 1), "monitor")["message"], {"7.1.9 is older than 7.2"});
}

TEST_F(DoctorTest, SaysThatEmulationIsNoBoundary) {
  variables_["PYRO_KVM"] = "off";
  const ProcessResult result = pyro({"doctor"});
  expect_says(result.out, {"switched off by PYRO_KVM", "no security boundary"});
}

TEST_F(DoctorTest, TriesTheFileSystemAndLeavesNothing) {
  const json document = examine({}, pyro({"doctor"}).exit_code);
  for (const char* const name : {"platform", "space", "cache", "holes", "exchange"}) {
    EXPECT_EQ(finding(document, name)["status"], "ok") << name;
  }
  EXPECT_FALSE(std::filesystem::exists(cache()));
  ASSERT_EQ(pyro({"env", "pull", "tool:1"}).exit_code, 0);
  examine({}, pyro({"doctor"}).exit_code);
  EXPECT_TRUE(std::filesystem::is_empty(cache() / "staging"));
}

TEST_F(DoctorTest, ACacheThatEverybodyMayWriteToIsMissing) {
  std::filesystem::create_directories(cache());
  ::chmod(cache().c_str(), 0777);
  const json found = finding(examine({}, 1), "cache");
  EXPECT_EQ(found["status"], "missing");
  expect_says(found["remedy"], {"chmod o-w"});
}

TEST_F(DoctorTest, AsksRegistriesOnlyWhenTold) {
  pyro({"doctor"});
  EXPECT_TRUE(registry_->requests().empty());
  // A monitor that is there, so that the registry decides.
  write_file(home() / "qemu", "#!/bin/sh\necho 'QEMU emulator version 9.1.0'\n");
  ::chmod((home() / "qemu").c_str(), 0755);
  variables_["PYRO_QEMU"] = (home() / "qemu").string();
  const json document = examine({"--check-registry", "--environment", "tool:1"}, 0);
  EXPECT_EQ(finding(document, "registry " + registry_->host("localhost"))["message"], "it answers");
}

TEST_F(DoctorTest, NamesARegistryThatIsNotThere) {
  const std::string host = registry_->host("localhost");
  registry_.reset();
  // It took its authority's file along.
  expect_says(finding(examine({"--check-registry"}, 1), "registries")["message"], {"No such file"});
  variables_.erase("SSL_CERT_FILE");
  const json found = finding(examine({"--check-registry"}, 1), "registry " + host);
  EXPECT_EQ(found["status"], "missing");
}

TEST_F(DoctorTest, TellsWhetherAnEnvironmentIsReady) {
  const auto readiness = [&] {
    return parse_json(pyro({"doctor", "--environment", "tool:1", "--json"}).out)["environment"];
  };
  EXPECT_EQ(readiness(), json({{"name", "tool:1"},
                               {"installed", false},
                               {"readiness", "cold"},
                               {"reasons", {"it is not installed"}}}));
  ASSERT_EQ(pyro({"env", "pull", "tool:1"}).exit_code, 0);
  EXPECT_EQ(readiness()["reasons"], json({"no machine was prepared"}));
}

TEST_F(DoctorTest, KnowsWhatTheCatalogKnows) {
  EXPECT_EQ(pyro({"doctor", "--environment", "tool:2"}).exit_code, 3);
}

}  // namespace
}  // namespace pyro::testing
