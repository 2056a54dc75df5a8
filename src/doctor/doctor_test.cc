// Tests of the findings about monitors and KVM.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "doctor/checks.h"
#include "support/file_openings.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const Finding& finding(const Findings& findings, const std::string& name) {
  for (const Finding& each : findings) {
    if (each.name == name) return each;
  }
  throw std::out_of_range("nothing was found about " + name);
}

class MachinesTest : public ::testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path program(const std::string& script, mode_t mode = 0755) const {
    const auto path = dir_ / "monitor";
    testing::write_file(path, "#!/bin/sh\n" + script + '\n');
    ::chmod(path.c_str(), mode);
    return path;
  }
  [[nodiscard]] std::filesystem::path program_that_says(const std::string& line) const {
    return program("echo '" + line + "'");
  }

  static Findings examine(const MachineOptions& machine) {
    Findings findings;
    check_machines({}, machine, false, findings);
    return findings;
  }
  static Findings examine(const std::filesystem::path& monitor) {
    return examine({.monitor = monitor, .kvm = KvmUse::never});
  }

  testing::TempDir dir_;
};

struct Monitor {
  const char* name;
  const char* says;
  Health health;
  const char* told;

  friend void PrintTo(const Monitor& self, std::ostream* out) { *out << self.name; }
};

class MonitorTest : public MachinesTest, public ::testing::WithParamInterface<Monitor> {};

TEST_P(MonitorTest, IsJudgedByVersion) {
  const Finding found = finding(examine(program_that_says(GetParam().says)), "monitor");
  EXPECT_EQ(found.health, GetParam().health) << found.message;
  EXPECT_THAT(found.message, HasSubstr(GetParam().told));
  EXPECT_EQ(found.remedy, found.health == Health::ok ? "" : "apt install qemu-system-x86");
}

INSTANTIATE_TEST_SUITE_P(
    Versions, MonitorTest,
    ::testing::Values(
        Monitor{"Oldest", "QEMU emulator version 7.2", Health::ok, "version 7.2"},
        Monitor{"DebianSuffix", "QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)", Health::ok,
                "7.2.17 (Debian"},
        Monitor{"TwoDigits", "QEMU emulator version 10.0.2", Health::ok, "10.0.2"},
        Monitor{"Older", "QEMU emulator version 7.1.9", Health::missing, "7.1.9 is older than 7.2"},
        Monitor{"MuchOlder", "QEMU emulator version 2.12.0", Health::missing, "is older than 7.2"},
        Monitor{"WithoutNumber", "QEMU emulator version x", Health::missing, "is older than 7.2"},
        Monitor{"WithoutMinorVersion", "QEMU emulator version 9", Health::missing,
                "is older than 7.2"},
        Monitor{"OtherProgram", "bhyve 1.0", Health::missing, "does not say that it is QEMU"},
        Monitor{"Silent", "", Health::missing, "does not say that it is QEMU"}),
    [](const auto& row) { return row.param.name; });

TEST_F(MachinesTest, FailingMonitorIsReportedAsMissing) {
  const auto failing = program("echo 'QEMU emulator version 9.0'; exit 1");
  EXPECT_EQ(finding(examine(failing), "monitor").health, Health::missing);
}

TEST_F(MachinesTest, ReportsMonitorThatCannotBeRun) {
  const auto of_no_format = dir_ / "of no format";
  testing::write_file(of_no_format, "true\n");
  ::chmod(of_no_format.c_str(), 0755);
  for (const auto& path : {dir_ / "nothing", program("true", 0644), of_no_format}) {
    EXPECT_THAT(finding(examine(path), "monitor").message, HasSubstr("cannot be run"));
  }
  EXPECT_EQ(finding(examine(""), "monitor").message, "there is no qemu-system-x86_64");
}

TEST_F(MachinesTest, DoesNotProbeKvmWithUnusableMonitor) {
  testing::FileOpenings runs(dir_ / "runs");
  const auto other = program(": < " + runs.path().string());
  const Finding kvm = finding(examine({.monitor = other}), "kvm");
  EXPECT_EQ(kvm.message, "there is no monitor to try it with");
  EXPECT_EQ(kvm.remedy, "");
  EXPECT_EQ(runs.count(), 1u) << "it was asked for its version";
}

struct Kvm {
  const char* name;
  KvmReport report;
  Health health;
  const char* remedy;

  friend void PrintTo(const Kvm& self, std::ostream* out) { *out << self.name; }
};

class KvmTest : public ::testing::TestWithParam<Kvm> {};

TEST_P(KvmTest, HasHealthAndRemedyOfReport) {
  const Finding found = kvm_finding(GetParam().report, "/cache", false);
  EXPECT_EQ(found.health, GetParam().health);
  EXPECT_THAT(found.remedy, HasSubstr(GetParam().remedy));
  // A fresh probe need not be repeated.
  const bool tells_how = found.remedy.find("rm /cache/host/kvm.json") != found.remedy.npos;
  EXPECT_EQ(tells_how, found.health != Health::ok && GetParam().report.remembered);
}

INSTANTIATE_TEST_SUITE_P(
    Reports, KvmTest,
    ::testing::Values(
        Kvm{"Good", {}, Health::ok, ""}, Kvm{"GoodBefore", {.remembered = true}, Health::ok, ""},
        Kvm{"Absent", {.status = KvmStatus::absent}, Health::warning, "modprobe kvm"},
        Kvm{"Denied", {.status = KvmStatus::denied}, Health::warning, "adduser $USER kvm"},
        Kvm{"Untried", {.status = KvmStatus::untried}, Health::warning, "apt install"},
        Kvm{"Broken", {.status = KvmStatus::broken}, Health::warning, "PYRO_KVM=off"},
        Kvm{"BrokenBefore",
            {.status = KvmStatus::broken, .remembered = true},
            Health::warning,
            "to have it tried again"}),
    [](const auto& row) { return row.param.name; });

TEST(RequiredKvm, IsMissingIfKvmDoesNotWork) {
  const KvmReport absent{.status = KvmStatus::absent, .reason = "there is no /dev/kvm"};
  const Finding found = kvm_finding(absent, "/cache", true);
  EXPECT_EQ(found.health, Health::missing);
  EXPECT_EQ(found.message, "required, but there is no /dev/kvm");
  EXPECT_EQ(kvm_finding({}, "/cache", true).health, Health::ok);
}

TEST_F(MachinesTest, WarnsOfMissingIsolationWithoutKvm) {
  const Findings findings = examine(program_that_says("QEMU emulator version 9.0"));
  EXPECT_EQ(finding(findings, "kvm").remedy, "unset PYRO_KVM");
  const Finding isolation = finding(findings, "isolation");
  EXPECT_EQ(isolation.health, Health::warning);
  EXPECT_THAT(isolation.message, HasSubstr("no security boundary"));
  EXPECT_THAT(isolation.remedy, Not(IsEmpty()));
}

}  // namespace
}  // namespace pyro
