// Findings of pyro doctor on hosts with missing parts.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "scenarios/private_mount.h"
#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
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

  /// Checks the registry of the test only.
  json ask_registry(int exit_code) {
    const json document = examine({"--check-registry", "--environment", "tool:1"}, exit_code);
    return finding(document, "registry " + host_);
  }

  /// Provides a QEMU, so that other findings decide the exit code.
  void have_monitor(const std::string& version = "9.1.0") {
    write_file(home() / "qemu", "#!/bin/sh\necho 'QEMU emulator version " + version + "'\n");
    ::chmod((home() / "qemu").c_str(), 0755);
    variables_["PYRO_QEMU"] = (home() / "qemu").string();
    variables_["PYRO_KVM"] = "off";
  }

  const std::string host_ = registry_->host("localhost");
};

TEST_F(DoctorTest, ReportsMissingQemu) {
  variables_["PYRO_QEMU"] = "/nonexistent/qemu";
  const json document = examine({}, 1);
  EXPECT_EQ(document["ok"], false);
  EXPECT_EQ(finding(document, "monitor")["status"], "missing");
  EXPECT_EQ(finding(document, "monitor")["remedy"], "apt install qemu-system-x86");
}

TEST_F(DoctorTest, ReportsQemuThatIsTooOld) {
  have_monitor("7.1.9");
  expect_says(finding(examine({}, 1), "monitor")["message"], {"7.1.9 is older than 7.2"});
}

TEST_F(DoctorTest, WarnsThatEmulationIsNoSecurityBoundary) {
  variables_["PYRO_KVM"] = "off";
  const ProcessResult result = pyro({"doctor"});
  expect_says(result.out, {"switched off by PYRO_KVM", "no security boundary"});
}

TEST_F(DoctorTest, TestsFileSystemAndLeavesNothing) {
  const json document = examine({}, pyro({"doctor"}).exit_code);
  for (const char* const name : {"platform", "space", "cache", "holes", "exchange"}) {
    EXPECT_EQ(finding(document, name)["status"], "ok") << name;
  }
  EXPECT_FALSE(fs::exists(cache()));
  ASSERT_EQ(pyro({"env", "pull", "tool:1"}).exit_code, 0);
  examine({}, pyro({"doctor"}).exit_code);
  EXPECT_TRUE(fs::is_empty(cache() / "staging"));
}

TEST_F(DoctorTest, WarnsOfCacheWritableByOthersAndLeavesIt) {
  have_monitor();
  fs::create_directories(cache());
  for (const int mode : {0775, 0777}) {
    fs::permissions(cache(), fs::perms(mode));
    const json found = finding(examine({}, 0), "cache");
    EXPECT_EQ(found["status"], "warning");
    EXPECT_EQ(found["remedy"], "chmod go-w " + cache().string());
    EXPECT_EQ(fs::status(cache()).permissions(), fs::perms(mode));
  }
}

TEST_F(DoctorTest, ReportsUnwritableCacheAsMissing) {
  have_monitor();
  pyro_ok({"env", "pull", "tool:1"});
  std::unique_ptr<PrivateMount> mounted;
  if (::geteuid() == 0) {
    mounted = PrivateMount::read_only(cache());
    if (!mounted) GTEST_SKIP() << "root may not mount here, and no mode stops root";
  } else {
    fs::permissions(cache() / "staging", fs::perms(0555));
  }
  const json document = examine({"--environment", "tool:1"}, 1);
  const json found = finding(document, "cache");
  EXPECT_EQ(found["status"], "missing");
  expect_says(found["message"],
              {cache().string(), ::geteuid() == 0 ? "Read-only file system" : "Permission denied"});
  expect_says(found["remedy"], {"--cache-dir"});
  EXPECT_EQ(document["environment"]["installed"], true) << "it can still be run";
}

TEST_F(DoctorTest, ReportsCacheThatIsAFileAsMissing) {
  write_file(cache(), "a file");
  const json found = finding(examine({"--environment", "tool:1"}, 1), "cache");
  EXPECT_EQ(found["status"], "missing");
  EXPECT_EQ(read_file(cache()), "a file");
}

TEST_F(DoctorTest, WarnsWhereExchangeIsUnsupported) {
  have_monitor();
  variables_["LD_PRELOAD"] = PYRO_FAILING_CALLS;
  variables_["ASAN_OPTIONS"] = "verify_asan_link_order=0";
  variables_["PYRO_TEST_FAIL"] = "renameat2 " + std::to_string(EINVAL) + " 1";
  const json document = examine({}, 0);
  const json found = finding(document, "exchange");
  EXPECT_EQ(found["status"], "warning");
  expect_says(found["message"], {"cannot be replaced in one step"});
  expect_says(found["remedy"], {"--cache-dir"});
  EXPECT_EQ(finding(document, "cache")["status"], "ok");
}

TEST_F(DoctorTest, ContactsRegistriesOnlyWithOption) {
  pyro({"doctor"});
  EXPECT_TRUE(registry_->requests().empty());
  have_monitor();
  EXPECT_EQ(ask_registry(0)["message"], "it answers");
}

TEST_F(DoctorTest, ReportsUnreachableRegistryAsMissing) {
  registry_.reset();
  // The certificate file was removed with the registry.
  const json document = examine({"--check-registry", "--environment", "tool:1"}, 1);
  expect_says(finding(document, "registries")["message"], {"No such file"});
  variables_.erase("SSL_CERT_FILE");
  EXPECT_EQ(ask_registry(1)["status"], "missing");
}

struct PingAnswer {
  const char* name;
  Fault fault;
  const char* status;
  int exit_code;
  const char* told;

  friend void PrintTo(const PingAnswer& self, std::ostream* out) { *out << self.name; }
};

class DoctorPingTest : public DoctorTest, public ::testing::WithParamInterface<PingAnswer> {};

TEST_P(DoctorPingTest, StatusFollowsTheAnswer) {
  have_monitor();
  registry_->add_rule({.kind = RequestKind::ping}, GetParam().fault);
  const json found = ask_registry(GetParam().exit_code);
  EXPECT_EQ(found["status"], GetParam().status);
  EXPECT_EQ(found["message"], GetParam().told);
  EXPECT_EQ(found["remedy"].is_null(), found["status"] == "ok");
}

INSTANTIATE_TEST_SUITE_P(
    Answers, DoctorPingTest,
    ::testing::Values(
        PingAnswer{"Login", faults::challenge({R"(Basic realm="x")"}), "ok", 0, "it answers"},
        PingAnswer{"NoPing", faults::status(404), "warning", 0, "it answers with status 404"},
        PingAnswer{"Forbidden", faults::status(403), "warning", 0, "it answers with status 403"},
        PingAnswer{"Busy", faults::status(503), "missing", 1, "it answers with status 503"}),
    row_name);

TEST_F(DoctorTest, RegistryWithLoginIsOkAndGetsNoCredentials) {
  have_monitor();
  for (const auto mode : {AuthOptions::Mode::basic, AuthOptions::Mode::bearer}) {
    registry_->set_auth(auth(mode));
    log_in(host_);
    EXPECT_EQ(ask_registry(0)["message"], "it answers");
    EXPECT_FALSE(registry_->saw_authorization(Listener::registry));
  }
}

TEST_F(DoctorTest, ReportsUntrustedRegistryAsMissing) {
  variables_.erase("SSL_CERT_FILE");
  const json found = ask_registry(1);
  EXPECT_EQ(found["status"], "missing");
  expect_says(found["message"], {"certificate"});
  expect_says(found["remedy"], {"SSL_CERT_FILE"});
}

TEST_F(DoctorTest, ReportsReadinessOfEnvironment) {
  const auto readiness = [&] {
    return parse_json(pyro({"doctor", "--environment", "tool:1", "--json"}).out)["environment"];
  };
  EXPECT_EQ(readiness(), json({{"name", "tool:1"},
                               {"installed", false},
                               {"readiness", "cold"},
                               {"reasons", {"it is not installed"}}}));
  ASSERT_EQ(pyro({"env", "pull", "tool:1"}).exit_code, 0);
  EXPECT_EQ(readiness()["reasons"],
            json({"there is no qemu-system-x86_64 in the directories of $PATH"}));
  have_monitor();
  EXPECT_EQ(readiness()["reasons"], json({"no machine was prepared"}));
}

TEST_F(DoctorTest, RejectsUnknownEnvironment) {
  EXPECT_EQ(pyro({"doctor", "--environment", "tool:2"}).exit_code, 3);
}

}  // namespace
}  // namespace pyro::testing
