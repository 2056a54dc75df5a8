// One cache for pyro and the Python reference: each uses the other's installs.
#include <gtest/gtest.h>

#include <chrono>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr char kDigest[] =
    "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

// The checks of EnvironmentStore._load_installed_environment, and the record's format.
constexpr char kReferenceCheck[] = R"(
import json, pathlib, sys
root = pathlib.Path(sys.argv[1])
text = (root / "environment.json").read_text(encoding="utf-8")
assert (root / "environment.json").is_file()
assert (root / "vmlinux").is_file() and (root / "rootfs.ext4").is_file()
metadata = json.loads(text)
assert isinstance(metadata, dict)
assert text == json.dumps(metadata, indent=2, sort_keys=True) + "\n", text
for key in ("catalog_version", "name", "version", "source"):
    assert type(metadata[key]) is str, key
assert metadata["source_digest"] is None or type(metadata["source_digest"]) is str
assert type(metadata["installed_at"]) is int
print(metadata["source"], metadata["source_digest"])
)";

class ReferenceCacheTest : public RegistryHarness {
 protected:
  // Blocks requests: the built-in environments name a real registry.
  ReferenceCacheTest() {
    variables_["https_proxy"] = "http://localhost:" + std::to_string(unused_port());
  }

  void write_record(const std::string& name, const std::string& source, const json& digest) const {
    write_file(install_dir(name) / "environment.json",
               reference_json(reference_record(name, "1.0.0", source, digest)));
  }

  /// As EnvironmentStore._install_from_oci leaves it.
  void install_from_oci(const std::string& name) const {
    write_file(install_dir(name) / "vmlinux", sample().kernel);
    write_file(install_dir(name) / "rootfs.ext4", sample().rootfs);
    write_record(name,
                 "oci://registry-1.docker.io/thalesmaciel/environment@" + std::string(kDigest),
                 kDigest);
  }

  /// As EnvironmentStore._install_from_local_source leaves it.
  void install_from_bundle(const std::string& name) const {
    const fs::path profile = dir_ / "bundle/profiles/debian-base";
    write_file(profile / "vmlinux", sample().kernel);
    write_file(profile / "rootfs.ext4", sample().rootfs);
    fs::create_directories(install_dir(name));
    for (const char* file : {"vmlinux", "rootfs.ext4"}) {
      fs::create_symlink(fs::relative(profile / file, install_dir(name)), install_dir(name) / file);
    }
    write_record(name, "bundled-runtime-source", nullptr);
  }

  /// As EnvironmentStore._install_from_archive leaves it.
  void install_from_archive(const std::string& name) const {
    write_file(install_dir(name) / "vmlinux", sample().kernel);
    write_file(install_dir(name) / "rootfs.ext4", sample().rootfs);
    write_record(name, "https://mirror.example/environment.tgz", nullptr);
  }

  void install_all() const {
    install_from_oci("debian:12");
    install_from_bundle("debian:12-base");
    install_from_archive("debian:12-build");
  }

  json built_in_payload() const {
    return {
        {"name", "debian:12"},
        {"version", "1.0.0"},
        {"description", "Debian 12 environment with Git preinstalled for common agent workflows."},
        {"default_packages", {"bash", "coreutils", "git"}},
        {"distribution", "debian"},
        {"distribution_version", "12"},
        {"platform", "linux-x86_64"},
        {"oci_registry", "registry-1.docker.io"},
        {"oci_repository", "thalesmaciel/pyro-environment-debian-12"},
        {"oci_reference", "1.0.0"},
        {"source_digest", nullptr},
        {"compatibility", ">=4.5.0,<5.0.0"},
        {"catalog_version", "4.5.0"},
        {"installed", false},
        {"cache_dir", cache().string()},
        {"install_dir", (cache() / "linux-x86_64/debian_12-1.0.0").string()},
        {"compatible", true},  // pyro only
    };
  }
};

TEST_F(ReferenceCacheTest, CountsAsInstalled) {
  install_all();
  const json list = pyro_json({"env", "list"});
  EXPECT_EQ(list.size(), 2u);
  EXPECT_EQ(list["catalog_version"], "4.5.0");
  ASSERT_EQ(list["environments"].size(), 3u);
  for (const json& one : list["environments"]) EXPECT_EQ(one["installed"], true) << one;
  EXPECT_EQ(list["environments"][0]["name"], "debian:12");
  EXPECT_EQ(list["environments"][1]["name"], "debian:12-base");
  EXPECT_EQ(list["environments"][2]["name"], "debian:12-build");
}

TEST_F(ReferenceCacheTest, IsNotPulledAgain) {
  install_all();
  const auto before = snapshot(cache());
  const json pulled = pyro_json({"env", "pull", "debian:12", "debian:12-base", "debian:12-build"});
  EXPECT_EQ(snapshot(cache()), before);
  ASSERT_EQ(pulled.size(), 3u);
  EXPECT_EQ(pulled[0]["source"],
            "oci://registry-1.docker.io/thalesmaciel/environment@" + std::string(kDigest));
  EXPECT_EQ(pulled[0]["installed_digest"], kDigest);
  EXPECT_EQ(pulled[0]["kernel_image"], (install_dir("debian:12") / "vmlinux").string());
  EXPECT_EQ(pulled[0]["rootfs_image"], (install_dir("debian:12") / "rootfs.ext4").string());
  EXPECT_EQ(pulled[1]["source"], "bundled-runtime-source");
  EXPECT_EQ(pulled[1]["installed_digest"], json());
  EXPECT_EQ(pulled[2]["source"], "https://mirror.example/environment.tgz");
}

TEST_F(ReferenceCacheTest, InspectMatchesFieldsOfReference) {
  EXPECT_EQ(pyro_json({"env", "inspect", "debian:12"}), built_in_payload());
  install_all();
  json expected = built_in_payload();
  expected["installed"] = true;
  expected["install_manifest"] = (install_dir("debian:12") / "environment.json").string();
  const json inspected = pyro_json({"env", "inspect", "debian:12"});
  expected["installed_bytes"] = inspected["installed_bytes"];  // pyro only
  expected["installed_digest"] = kDigest;                      // pyro only
  EXPECT_EQ(inspected, expected);
  EXPECT_TRUE(inspected["installed_bytes"].is_number_unsigned());
}

TEST_F(ReferenceCacheTest, IsUnverifiable) {
  install_all();
  const json verified = pyro_json({"env", "verify"});
  ASSERT_EQ(verified.size(), 3u);
  for (const json& one : verified) {
    EXPECT_EQ(one["status"], "unverifiable") << one;
    ASSERT_EQ(one["artifacts"].size(), 2u);
    EXPECT_EQ(one["artifacts"][0]["status"], "unverifiable");
    EXPECT_EQ(one["artifacts"][0]["digest"], json());
  }
  pyro_ok({"env", "pull", "--repair", "debian:12"});  // not known to be bad
}

TEST_F(ReferenceCacheTest, IsKeptByPrune) {
  install_all();
  const auto before = snapshot(platform_dir());
  const json pruned = pyro_json({"env", "prune", "--unknown"});
  EXPECT_EQ(pruned["count"], 0);
  EXPECT_EQ(snapshot(platform_dir()), before);
}

TEST_F(ReferenceCacheTest, IncompleteInstallCountsAsAbsent) {
  const json record = reference_record("debian:12", "1.0.0", "cache", nullptr);
  const auto installed = [&] {
    return pyro_json({"env", "inspect", "debian:12"})["installed"].get<bool>();
  };
  const fs::path file = install_dir("debian:12") / "environment.json";
  install_from_oci("debian:12");
  EXPECT_TRUE(installed());
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        reference_json(reference_record("debian:13", "1.0.0", "cache", nullptr)),
        reference_json(reference_record("debian:12", "2.0.0", "cache", nullptr))}) {
    write_file(file, text);
    EXPECT_FALSE(installed()) << text;
  }
  write_file(file, reference_json(record));
  EXPECT_TRUE(installed());
  for (const char* name : {"vmlinux", "rootfs.ext4"}) {
    const fs::path artifact = install_dir("debian:12") / name;
    fs::rename(artifact, dir_ / "away");
    EXPECT_FALSE(installed());
    fs::create_directory(artifact);
    EXPECT_FALSE(installed());
    fs::remove(artifact);
    fs::rename(dir_ / "away", artifact);
  }
  fs::rename(file, dir_ / "record");
  fs::create_symlink(dir_ / "record", file);
  EXPECT_FALSE(installed()) << "a record is a regular file";
}

TEST_F(ReferenceCacheTest, MinimalRecordCountsAsInstalled) {
  install_from_oci("debian:12");
  write_file(install_dir("debian:12") / "environment.json",
             reference_json({{"name", "debian:12"}, {"version", "1.0.0"}}));
  const json pulled = pyro_json({"env", "pull", "debian:12"});
  EXPECT_EQ(pulled["source"], "cache");
  EXPECT_EQ(pulled["installed_digest"], json());
}

// Records of pyro, read by the reference.

class PyroRecordTest : public ReferenceCacheTest {
 protected:
  void expect_record_as_the_references(const std::string& source, const json& digest) const {
    const json written = record();
    for (const char* key :
         {"catalog_version", "name", "version", "source", "source_digest", "installed_at"}) {
      EXPECT_TRUE(written.contains(key)) << key;
    }
    EXPECT_EQ(written["catalog_version"], "4.5.0");
    EXPECT_EQ(written["name"], "tool:1");
    EXPECT_EQ(written["version"], "1.0.0");
    EXPECT_EQ(written["source"], source);
    EXPECT_EQ(written["source_digest"], digest);
    EXPECT_TRUE(written["installed_at"].is_number_integer());
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
    EXPECT_NEAR(static_cast<double>(written["installed_at"].get<std::int64_t>()),
                static_cast<double>(seconds), 60);
    EXPECT_EQ(read_file(install_dir() / "environment.json"), reference_json(written));
    expect_python_agrees(source, digest);
  }

  void expect_python_agrees(const std::string& source, const json& digest) const {
    if (!find_program("python3")) return;
    const ProcessResult python =
        run({.argv = {"python3", "-c", kReferenceCheck, install_dir().string()}});
    EXPECT_EQ(python.exit_code, 0) << python.err;
    EXPECT_EQ(python.out,
              source + " " + (digest.is_null() ? "None" : digest.get<std::string>()) + "\n");
  }
};

TEST_F(PyroRecordTest, MatchesReferenceAfterPullFromRegistry) {
  const Image image = image_of(sample());
  offer(image);
  pyro_ok({"env", "pull", "tool:1"});
  expect_record_as_the_references("oci://" + registry_->host() + "/team/tool@" + image.digest(),
                                  image.digest());
  EXPECT_EQ(record()["catalog_file"], catalog_file().string());
  const json artifacts = record()["artifacts"];
  ASSERT_EQ(artifacts.size(), 2u);
  EXPECT_EQ(artifacts["vmlinux"]["size"], sample().kernel.size());
  EXPECT_EQ(artifacts["rootfs.ext4"]["size"], sample().rootfs.size());
  if (!find_program("fsverity")) return;
  for (const char* name : {"vmlinux", "rootfs.ext4"}) {
    const ProcessResult digest =
        run_checked({.argv = {"fsverity", "digest", "--compact", (install_dir() / name).string()}});
    EXPECT_EQ(artifacts[name]["digest"], "sha256:" + digest.out.substr(0, 64)) << name;
  }
}

TEST_F(PyroRecordTest, MatchesReferenceAfterPullFromBundle) {
  write_file(dir_ / "bundle/profiles/tool/vmlinux", sample().kernel);
  write_file(dir_ / "bundle/profiles/tool/rootfs.ext4", sample().rootfs);
  use_catalog({entry()});
  pyro_ok({"env", "pull", "tool:1", "--runtime-dir", (dir_ / "bundle").string()});
  expect_record_as_the_references("bundled-runtime-source", nullptr);
}

TEST_F(PyroRecordTest, MatchesReferenceAfterPullFromArchive) {
  const std::string archive = tar_of(sample());
  write_file(dir_ / "tool.tar", archive);
  use_catalog({archive_entry((dir_ / "tool.tar").string())});
  pyro_ok({"env", "pull", "tool:1"});
  expect_record_as_the_references((dir_ / "tool.tar").string(), sha256_digest(archive));
}

}  // namespace
}  // namespace pyro::testing
