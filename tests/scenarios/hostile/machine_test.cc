// Faults of the host: failing disks and system calls, wrong clocks, invalid variables.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>

#include "scenarios/hostile_harness.h"
#include "scenarios/private_mount.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class HostFaultsTest : public HostileHarness {
 protected:
  HostFaultsTest() {
    write_file(dir_ / "tool.tar", tar_of(sample()));
    use_archive();
  }

  void use_archive() const { use_catalog({archive_entry((dir_ / "tool.tar").string())}); }

  static Variables preloaded(const std::string& name, const std::string& value) {
    return {{"LD_PRELOAD", PYRO_FAILING_CALLS},
            {"ASAN_OPTIONS", "verify_asan_link_order=0"},
            {name, value}};
  }
  static Variables failing(const std::string& call, int error, int from = 1) {
    return preloaded("PYRO_TEST_FAIL",
                     call + " " + std::to_string(error) + " " + std::to_string(from));
  }
  static Variables at(const std::string& seconds) { return preloaded("PYRO_TEST_CLOCK", seconds); }

  ProcessResult under(const std::string& limit, const std::vector<std::string>& words) const {
    Command limited = command(words);
    const std::vector<std::string> shell{"/bin/sh", "-c", limit + "; exec \"$@\"", "sh"};
    limited.argv.insert(limited.argv.begin(), shell.begin(), shell.end());
    return run(limited);
  }
};

// --- disks ---

TEST_F(HostFaultsTest, FailedFsyncFailsReplacementAtEveryStep) {
  install_by_hand(other_artifacts(20));
  const auto before = cache_state();
  int failed = 0;
  for (int from = 1; from <= 5; ++from) {
    const ProcessResult result =
        pyro({"env", "pull", "--force", "tool:1"}, failing("fsync", EIO, from));
    EXPECT_EQ(result.exit_code, 6) << from << result.err;
    expect_says(result.err, {"cannot install tool:1", "Input/output error"});
    failed += static_cast<int>(cache_state() == before);
  }
  EXPECT_EQ(failed, 4) << "the fifth is after the exchange";
  expect_installed(sample());
}

TEST_F(HostFaultsTest, FailedFsyncLeavesNoFirstInstall) {
  pyro_ok({"env", "list"});
  expect_refused(6, {"Input/output error"}, {"env", "pull", "tool:1"}, failing("fsync", EIO, 7));
}

TEST_F(HostFaultsTest, ReportsExceededDiskQuota) {
  expect_refused(6, {"Disk quota exceeded"}, {"env", "pull", "tool:1"},
                 failing("fsync", EDQUOT, 7));
}

TEST_F(HostFaultsTest, FailedCloseLosesNoData) {
  offer(image_of(sample()));
  pyro_ok({"env", "pull", "tool:1"}, failing("close", EIO));
  expect_installed(sample());
  EXPECT_EQ(pyro_json({"env", "verify"}, 0, failing("close", EIO))[0]["status"], "ok");
}

TEST_F(HostFaultsTest, CommandsSucceedDuringSignalStorm) {
  offer(image_of(sample()));
  const Variables storm = preloaded("PYRO_TEST_STORM", "500");
  pyro_ok({"env", "pull", "tool:1"}, storm);
  expect_installed(sample());
  pyro_ok({"env", "pull", "--force", "tool:1"}, storm);
  EXPECT_EQ(pyro_json({"env", "verify"}, 0, storm)[0]["status"], "ok");
  pyro_ok({"env", "prune"}, storm);
  expect_installed(sample());
}

TEST_F(HostFaultsTest, FirstInstallSucceedsWithoutRenameFlags) {
  pyro_ok({"env", "pull", "tool:1"}, failing("renameat2", EINVAL));
  expect_installed(sample());
}

TEST_F(HostFaultsTest, KeepsOldInstallWhereExchangeFails) {
  install_by_hand(other_artifacts(20));
  expect_refused(6, {"cannot replace"}, {"env", "pull", "--force", "tool:1"},
                 failing("renameat2", EINVAL, 2));
  expect_installed(other_artifacts(20));
}

TEST_F(HostFaultsTest, RefusesToInstallWithoutLocks) {
  for (const int error : {ENOLCK, EOPNOTSUPP}) {
    expect_refused(6, {"cannot lock"}, {"env", "pull", "tool:1"}, failing("flock", error));
  }
}

TEST_F(HostFaultsTest, RejectsStagingOnAnotherFileSystem) {
  fs::create_directories(cache() / "staging");
  const auto mounted = PrivateMount::tmpfs(cache() / "staging", "size=16m,mode=755");
  if (!mounted) GTEST_SKIP() << "needs the right to mount a small file system";
  expect_refused(6, {"Invalid cross-device link"});
}

TEST_F(HostFaultsTest, InstallsIntoCacheOnTmpfs) {
  const auto mounted = PrivateMount::tmpfs(cache(), "size=16m,mode=755");
  if (!mounted) GTEST_SKIP() << "needs the right to mount a small file system";
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  EXPECT_LT(pyro_json({"env", "inspect", "tool:1"})["installed_bytes"], 1 << 20);
}

TEST_F(HostFaultsTest, FailsCleanlyWithTooFewDescriptors) {
  offer(image_of(sample()));
  for (int limit = 4; limit <= 20; limit += 2) {
    const auto before = cache_state();
    const ProcessResult result =
        under("ulimit -n " + std::to_string(limit), {"env", "pull", "tool:1"});
    EXPECT_EQ(result.signal, 0) << limit << result.err;
    if (result.exit_code == 0) break;
    EXPECT_EQ(without_partials(cache_state()), before) << limit;
  }
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(HostFaultsTest, FailsCleanlyWithTooLittleMemory) {
#ifdef PYRO_SANITIZED
  GTEST_SKIP() << "sanitizers take terabytes of addresses";
#endif
  offer(image_of(sample()));
  for (int mebibytes = 16; mebibytes <= 256; mebibytes *= 2) {
    const ProcessResult result =
        under("ulimit -v " + std::to_string(mebibytes * 1024), {"env", "pull", "tool:1"});
    EXPECT_EQ(result.signal, 0) << mebibytes << result.err;
    EXPECT_EQ(result.err.find("terminate called"), std::string::npos) << result.err;
    if (result.exit_code == 0) break;
  }
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
}

TEST_F(HostFaultsTest, RejectsCachePathTooLongForFileSystem) {
  const std::string path = (dir_ / std::string(300, 'n')).string();
  expect_refused(6, {"File name too long"}, {"env", "pull", "tool:1", "--cache-dir", path});
  const std::string longer = "/" + std::string(5000, 'p');
  EXPECT_EQ(pyro({"env", "pull", "tool:1", "--cache-dir", longer}).exit_code, 6);
}

TEST_F(HostFaultsTest, ReportsCacheDirectoryWithoutAccess) {
  if (::geteuid() != 0) {
    fs::create_directories(cache());
    fs::permissions(cache().parent_path(), fs::perms(0600));
    expect_refused(6, {"Permission denied"});
    fs::permissions(cache().parent_path(), fs::perms(0700));
  } else {
    GTEST_SKIP() << "no mode stops root";
  }
}

// --- clocks ---

class ClockTest : public HostFaultsTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(ClockTest, AffectsInstallTimeOnly) {
  const Variables then = at(GetParam());
  pyro_ok({"env", "pull", "tool:1"}, then);
  expect_installed(sample());
  EXPECT_EQ(record()["installed_at"].dump(), GetParam());
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"env", "list"}, {"env", "inspect", "tool:1"}, {"env", "verify"}, {"env", "prune"}}) {
    pyro_ok(words, then);
    pyro_ok(words);
  }
  pyro_ok({"env", "pull", "--force", "tool:1"}, at("1000"));
  expect_installed(sample());
}

INSTANTIATE_TEST_SUITE_P(Times, ClockTest,
                         ::testing::Values("0", "2147483648", "4294967296", "9000000000"));

TEST_F(HostFaultsTest, HintsAtClockOutsideCertificateValidity) {
  offer(image_of(sample()));
  for (const char* when : {"0", "4294967296"}) {
    expect_refused(4, {"certificate", "clock"}, {"env", "pull", "tool:1"}, at(when));
  }
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(HostFaultsTest, PruneKeepsFilesWithFutureTimes) {
  pyro_ok({"env", "pull", "tool:1"});
  for (const char* file : {"", "vmlinux", "environment.json"}) {
    run_checked({.argv = {"touch", "-d", "2199-01-01", (install_dir() / file).string()}});
  }
  EXPECT_EQ(pyro_json({"env", "prune"})["count"], 0);
  expect_installed(sample());
}

TEST_F(HostFaultsTest, ListIsTheSameInEveryTimeZone) {
  const std::string listed = pyro_ok({"env", "list", "--json"}).out;
  for (const char* zone : {":/etc/passwd", "XXX-99:99:99", "../../../etc/passwd", ""}) {
    EXPECT_EQ(pyro_ok({"env", "list", "--json"}, {{"TZ", zone}}).out, listed);
  }
}

// --- variables ---

TEST_F(HostFaultsTest, HintsAtCacheDirOptionWithoutHome) {
  const Variables nothing{
      {"HOME", std::nullopt}, {"XDG_CACHE_HOME", std::nullopt}, {"XDG_CONFIG_HOME", std::nullopt}};
  const ProcessResult result = pyro({"env", "list"}, nothing);
  EXPECT_NE(result.exit_code, 0);
  expect_says(result.err, {"--cache-dir"});
}

TEST_F(HostFaultsTest, ListSucceedsUnderInvalidLocales) {
  for (const char* locale : {"xx_YY.UTF-99", "../../etc", "C"}) {
    pyro_ok({"env", "list"}, {{"LC_ALL", locale}, {"LANG", locale}});
  }
}

}  // namespace
}  // namespace pyro::testing
