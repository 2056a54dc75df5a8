// Export from one cache into a file, and import into another cache without a network.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <thread>

#include "scenarios/private_mount.h"
#include "scenarios/registry_harness.h"
#include "support/background_process.h"
#include "support/file_descriptor.h"
#include "support/hash.h"
#include "support/real_registry.h"
#include "support/skopeo.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using namespace std::chrono_literals;
using Words = std::vector<std::string>;

const std::string& initrd() {
  // An initrd is compressed already, and must arrive unchanged.
  static const std::string bytes = compress("modules", Compression::gzip);
  return bytes;
}

/// Exports from the harness's cache and imports into others.
class ExportImportTest : public PyroHarness {
 protected:
  ExportImportTest() { use_catalog({entry_of("tool:1"), entry_of("tool:2")}); }

  json entry_of(const std::string& name) const {
    return archive_entry((dir_ / (name + ".tar")).string(), name);
  }

  void install(const std::string& name, const Artifacts& artifacts) const {
    write_file(dir_ / (name + ".tar"), TarBuilder()
                                           .file("vmlinux", artifacts.kernel)
                                           .file("rootfs.ext4", artifacts.rootfs)
                                           .file("initrd.img", initrd())
                                           .finish());
    pyro_ok({"env", "pull", "--force", name});
  }

  std::string file(const std::string& name = "export.tar") const {
    fs::create_directory(dir_ / "out");
    return (dir_ / "out" / name).string();
  }

  /// Content of the directory of exports.
  Words files() const { return tree(dir_ / "out"); }

  void export_tools() const {
    install("tool:1", sample());
    install("tool:2", other_artifacts(2));
    pyro_ok({"env", "export", "tool:1", "tool:2", "-o", file()});
  }

  /// On the importing side.
  Words over_there(Words words) const {
    words.insert(words.end(), {"--cache-dir", there().string(), "--offline"});
    return words;
  }
  fs::path there() const { return dir_ / "there"; }
  fs::path installed_there(const std::string& folder = "tool_1-1.0.0") const {
    return there() / "linux-x86_64" / folder;
  }
  json record_there(const std::string& folder = "tool_1-1.0.0") const {
    return parse_json(read_file(installed_there(folder) / "environment.json"));
  }

  void expect_there(const Artifacts& artifacts, const std::string& folder = "tool_1-1.0.0") const {
    EXPECT_TRUE(holds(installed_there(folder) / "vmlinux", artifacts.kernel));
    EXPECT_TRUE(holds(installed_there(folder) / "rootfs.ext4", artifacts.rootfs));
  }

  void expect_failure(const Words& words, int exit_code, const Words& says) const {
    const ProcessResult result = pyro(words);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    expect_says(result.err, says);
  }
};

// --- content of exports ---

struct Packing {
  const char* name;
  Words options;
};

class EachCompression : public ExportImportTest, public ::testing::WithParamInterface<Packing> {};

TEST_P(EachCompression, ImportsIdenticalArtifacts) {
  install("tool:1", sample());
  Words words{"env", "export", "tool:1", "-o", file()};
  words.insert(words.end(), GetParam().options.begin(), GetParam().options.end());
  expect_says(pyro_ok(words).err, {"tool:1: exported ", "sha256:"});

  const ProcessResult result = pyro_ok(over_there({"env", "import", file()}));
  EXPECT_EQ(result.out, installed_there().string() + "\n");
  expect_says(result.err, {"tool:1: pulling from " + file(), "tool:1: installed: "});
  expect_there(sample());
  EXPECT_TRUE(holds(installed_there() / "initrd.img", initrd()));
  struct stat status {};
  ASSERT_EQ(::stat((installed_there() / "rootfs.ext4").c_str(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, status.st_size / 2);
  EXPECT_EQ(record_there()["artifacts"], record()["artifacts"]);
  EXPECT_EQ(pyro_json(over_there({"env", "verify", "tool:1"}))[0]["status"], "ok");
}

INSTANTIATE_TEST_SUITE_P(All, EachCompression,
                         ::testing::Values(Packing{"ByDefault", {}},
                                           Packing{"Zstd", {"--compress", "zstd"}},
                                           Packing{"Gzip", {"--compress", "gzip"}},
                                           Packing{"None", {"--compress", "none"}}),
                         row_name);

TEST_F(ExportImportTest, ExportsOfSameInstallsAreIdentical) {
  export_tools();
  for (const Words& names : {Words{"tool:2", "tool:1"}, Words{"tool:1", "tool:2", "tool:1"}}) {
    Words words{"env", "export", "-o", file("again.tar")};
    words.insert(words.end(), names.begin(), names.end());
    pyro_ok(words);
    EXPECT_TRUE(holds(file("again.tar"), read_file(file())));
  }
  const ProcessResult piped = pyro_ok({"env", "export", "tool:1", "tool:2", "-o", "-"});
  EXPECT_TRUE(holds(file(), piped.out));
  // Holes of the file system make no difference.
  const std::string rootfs = read_file(install_dir() / "rootfs.ext4");
  write_file(install_dir() / "rootfs.ext4", rootfs);
  pyro_ok({"env", "export", "tool:1", "tool:2", "-o", file("dense.tar")});
  EXPECT_TRUE(holds(file("dense.tar"), read_file(file())));
}

TEST_F(ExportImportTest, ExportIsAnImageLayout) {
  export_tools();
  const std::string listing = run_checked({.argv = {"tar", "-tf", file()}}).out;
  expect_says(listing, {"blobs/sha256/", "index.json\n", "oci-layout\n"});
  const std::string index = run_checked({.argv = {"tar", "-xOf", file(), "index.json"}}).out;
  const json entries = parse_json(index)["manifests"];
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0]["platform"], (json{{"os", "linux"}, {"architecture", "amd64"}}));
  EXPECT_EQ(entries[0]["annotations"], (json{{"org.opencontainers.image.ref.name", "tool:1"},
                                             {"io.pyro.environment.name", "tool:1"},
                                             {"io.pyro.environment.version", "1.0.0"}}));
}

TEST_F(ExportImportTest, ImportsNamedEnvironmentsOnly) {
  export_tools();
  pyro_ok(over_there({"env", "import", file(), "tool:2"}));
  expect_there(other_artifacts(2), "tool_2-1.0.0");
  EXPECT_FALSE(fs::exists(installed_there()));
  pyro_ok(over_there({"env", "import", file()}));
  expect_there(sample());
  expect_failure(over_there({"env", "import", file(), "tool:3"}), 3,
                 {file() + " has no environment 'tool:3'", "hint: it has: tool:1, tool:2"});
}

TEST_F(ExportImportTest, PrintsJsonOfExportAndImport) {
  export_tools();
  const json exported = pyro_json({"env", "export", "tool:2", "tool:1", "-o", file()});
  EXPECT_EQ(exported["file"], file());
  EXPECT_EQ(exported["bytes"], fs::file_size(file()));
  ASSERT_EQ(exported["environments"].size(), 2U);
  EXPECT_EQ(exported["environments"][0]["name"], "tool:1");
  EXPECT_EQ(exported["environments"][0]["version"], "1.0.0");
  EXPECT_EQ(exported["environments"][0]["verified"], true);

  const json imported = pyro_json(over_there({"env", "import", file(), "-q"}));
  ASSERT_EQ(imported.size(), 2U);
  EXPECT_EQ(imported[1]["name"], "tool:2");
  EXPECT_EQ(imported[1]["installed"], true);
  EXPECT_EQ(imported[0]["installed_digest"], exported["environments"][0]["digest"]);
}

TEST_F(ExportImportTest, RecordNamesArchiveAndDigest) {
  install("tool:1", sample());
  const std::string digest =
      pyro_json({"env", "export", "tool:1", "-o", file()})["environments"][0]["digest"];
  pyro_ok(over_there({"env", "import", file()}));
  EXPECT_EQ(record_there()["source"], "oci-archive:" + file() + "@" + digest);
  EXPECT_EQ(record_there()["source_digest"], digest);
  EXPECT_EQ(record_there()["catalog_file"], catalog_file().string());
  // The path on the exporting machine is private.
  expect_hides(read_file(file()), {(dir_ / "tool:1.tar").string()});
}

TEST_F(ExportImportTest, RecordsAbsolutePathOfRelativeArchive) {
  install("tool:1", sample());
  pyro_ok({"env", "export", "tool:1", "-o", file()});
  Command relative = command(over_there({"env", "import", "./export.tar"}));
  relative.cwd = dir_ / "out";
  EXPECT_EQ(run(relative).exit_code, 0);
  expect_says(record_there()["source"], {"oci-archive:" + file() + "@"});
}

TEST_F(ExportImportTest, SkipsImageThatIsInstalled) {
  export_tools();
  pyro_ok(over_there({"env", "import", file()}));
  const auto before = snapshot(there());
  expect_says(pyro_ok(over_there({"env", "import", file()})).err,
              {"tool:1: installed already", "tool:2: installed already"});
  EXPECT_EQ(snapshot(there()), before);
  expect_says(pyro_ok(over_there({"env", "import", file(), "tool:1", "--force"})).err,
              {"tool:1: installed: "});
  EXPECT_NE(snapshot(there()), before);
}

TEST_F(ExportImportTest, ReplacesInstallWithAnotherImage) {
  export_tools();
  pyro_ok(over_there({"env", "import", file()}));
  install("tool:1", other_artifacts(3));
  pyro_ok({"env", "export", "tool:1", "-o", file()});
  pyro_ok(over_there({"env", "import", file()}));
  expect_there(other_artifacts(3));
}

TEST_F(ExportImportTest, ImportIgnoresRuntimeBundle) {
  export_tools();
  write_file(dir_ / "bundle/profiles/tool/vmlinux", "kernel");
  write_file(dir_ / "bundle/profiles/tool/rootfs.ext4", "root");
  pyro_ok(over_there({"env", "import", file(), "--runtime-dir", (dir_ / "bundle").string()}));
  expect_there(sample());
}

TEST_F(ExportImportTest, ImportIgnoresSourceOfEntry) {
  install("tool:1", sample());
  pyro_ok({"env", "export", "tool:1", "-o", file()});
  write_file(dir_ / "directory/vmlinux", other_artifacts(3).kernel);
  write_file(dir_ / "directory/rootfs.ext4", other_artifacts(3).rootfs);
  pyro_ok({"env", "export", "tool:1", "-o", file("layout.tar")});
  write_file(dir_ / "archive.tar", tar_of(other_artifacts(4)));
  for (const json& other :
       {entry(), archive_entry((dir_ / "directory").string()),
        archive_entry((dir_ / "archive.tar").string()), archive_entry("/is/not/there"),
        archive_entry("oci-archive:" + file("layout.tar")), oci_entry("127.0.0.1:1")}) {
    use_catalog({other});
    pyro_ok(over_there({"env", "import", file(), "--force"}));
    expect_there(sample());
    expect_says(record_there()["source"], {"oci-archive:" + file() + "@"});
    fs::remove_all(there());
  }
}

TEST_F(ExportImportTest, ReplacesInstallThatClaimsDigestOfImage) {
  install("tool:1", sample());
  const std::string digest =
      pyro_json({"env", "export", "tool:1", "-o", file()})["environments"][0]["digest"];
  const json manifest{{"profiles", {{"tool", {{"rootfs", {{"sha256", digest}}}}}}}};
  write_file(dir_ / "bundle/manifest.json", manifest.dump());
  write_file(dir_ / "bundle/profiles/tool/vmlinux", "kernel");
  write_file(dir_ / "bundle/profiles/tool/rootfs.ext4", "root");
  pyro_ok(over_there({"env", "pull", "tool:1", "--runtime-dir", (dir_ / "bundle").string()}));
  pyro_ok(over_there({"env", "import", file()}));
  expect_there(sample());
}

TEST_F(ExportImportTest, ExportWithoutDigestsWarnsUnverified) {
  install_by_hand(sample());
  expect_says(pyro_ok({"env", "export", "tool:1", "-o", file()}).err,
              {"(unverified: no digests were recorded)"});
  pyro_ok(over_there({"env", "import", file()}));
  expect_there(sample());
  EXPECT_EQ(pyro_json({"env", "export", "tool:1", "-o", file()})["environments"][0]["verified"],
            false);
}

TEST_F(ExportImportTest, ExportFollowsLinksToBundle) {
  write_file(dir_ / "bundle/manifest.json", "{}");
  write_file(dir_ / "bundle/profiles/tool/vmlinux", sample().kernel);
  write_file(dir_ / "bundle/profiles/tool/rootfs.ext4", sample().rootfs);
  pyro_ok({"env", "pull", "tool:1", "--runtime-dir", (dir_ / "bundle").string()});
  pyro_ok({"env", "export", "tool:1", "-o", file()});
  pyro_ok(over_there({"env", "import", file()}));
  expect_there(sample());
}

// --- catalog entries of imports ---

class OtherCatalog : public ExportImportTest {
 protected:
  OtherCatalog() {
    install("tool:1", sample());
    digest_ = pyro_json({"env", "export", "tool:1", "-o", file()})["environments"][0]["digest"];
  }

  /// A foreign image with these annotations.
  static void write_layout(const fs::path& at, const std::map<std::string, std::string>& texts) {
    const Image image = ImageBuilder()
                            .layer(tar_of(sample()))
                            .edit_manifest([&](json& manifest) { manifest["annotations"] = texts; })
                            .build();
    write_oci_layout(image, at, "image");
  }

  std::string digest_;
};

TEST_F(OtherCatalog, ImageWithoutEntryIsRefused) {
  use_catalog({entry_of("other:1")});
  const fs::path bare = dir_ / "bare";
  write_layout(bare,
               {{"io.pyro.environment.name", "tool:1"}, {"io.pyro.environment.version", "1.0.0"}});
  expect_failure(
      over_there({"env", "import", bare.string()}), 3,
      {"cannot import 'tool:1' in " + bare.string(),
       "neither the catalog nor the image says what it is", "'pyro env add'", "--as NAME"});
  EXPECT_FALSE(fs::exists(there() / "linux-x86_64"));
}

class ImportedEntry : public OtherCatalog {
 protected:
  ImportedEntry() { fs::remove(catalog_file()); }

  fs::path user_catalog() const { return catalog_file().parent_path() / "user.json"; }
  json added() const { return parse_json(read_file(user_catalog()))["environments"].at(0); }

  /// Exports tool:1 as an entry of that source.
  void export_with(const json& entry) const {
    use_catalog({entry});
    pyro_ok({"env", "export", "tool:1", "-o", file()});
    fs::remove(catalog_file());
  }
};

TEST_F(ImportedEntry, IsAddedToTheUserCatalog) {
  const ProcessResult result = pyro_ok(over_there({"env", "import", file()}));
  EXPECT_EQ(result.out, installed_there().string() + "\n");
  expect_says(result.err, {"tool:1: added to " + user_catalog().string()});
  expect_there(sample());
  EXPECT_EQ(record_there()["catalog_file"], user_catalog().string());
  const json entry = entry_of("tool:1");
  for (const char* const field : {"name", "version", "description", "default_packages",
                                  "distribution", "distribution_version", "source_profile"}) {
    EXPECT_EQ(added()[field], entry[field]) << field;
  }
  EXPECT_FALSE(added().contains("source_url")) << "a path of the exporting machine";
  EXPECT_EQ(pyro_json(over_there({"env", "verify", "tool:1"}))[0]["status"], "ok");
  expect_says(pyro_ok(over_there({"env", "import", file()})).err, {"installed already"});
  EXPECT_EQ(pyro_json(over_there({"env", "prune"}))["count"], 0);
}

TEST_F(ImportedEntry, AsOptionRenamesEntry) {
  pyro_ok(over_there({"env", "import", file(), "--as", "mine:2"}));
  expect_there(sample(), "mine_2-1.0.0");
  EXPECT_EQ(added()["name"], "mine:2");
}

TEST_F(ImportedEntry, IsAddedForEachEnvironment) {
  use_catalog({entry_of("tool:1"), entry_of("tool:2")});
  export_tools();
  fs::remove(catalog_file());
  const json imported = pyro_json(over_there({"env", "import", file()}));
  ASSERT_EQ(imported.size(), 2U);
  EXPECT_EQ(imported[1]["name"], "tool:2");
  expect_there(other_artifacts(2), "tool_2-1.0.0");
}

TEST_F(ImportedEntry, NeverReplacesExistingEntry) {
  json other = entry_of("tool:1");
  other["description"] = "another";
  use_catalog({other});
  pyro_ok(over_there({"env", "import", file()}));
  EXPECT_FALSE(fs::exists(user_catalog()));
  EXPECT_EQ(pyro_json(over_there({"env", "inspect", "tool:1"}))["description"], "another");
}

TEST_F(ImportedEntry, KeepsTheRegistryAndItsPinnedImage) {
  json pinned = oci_entry("r.example", "team/tool", "1");
  pinned["oci_digest"] = sha256_digest("pinned");
  export_with(pinned);
  pyro_ok(over_there({"env", "import", file()}));
  EXPECT_EQ(added()["oci_repository"], "team/tool");
  EXPECT_EQ(added()["oci_reference"], sha256_digest("pinned"));
  EXPECT_FALSE(added().contains("oci_digest"));
  EXPECT_FALSE(pyro_json(over_there({"env", "inspect", "tool:1"})).contains("outdated"));
  // The reference that a pull requests.
  const ProcessResult pulled = pyro({"env", "pull", "--force", "tool:1", "--offline", "-v"});
  EXPECT_EQ(pulled.exit_code, 4);
  expect_says(pulled.err, {"r.example/team/tool@" + sha256_digest("pinned")});
}

TEST_F(ImportedEntry, HasNoSecretsAndNoLocalPaths) {
  json pinned = archive_entry("https://a.example/tool.tar");
  pinned["source_sha256"] = sha256_digest("archive");
  for (const json& entry :
       {archive_entry("https://robin:secret@a.example/t.tar"), pinned,
        archive_entry("https://a.example/t.tar?signature=secret"), archive_entry("/a/secret/t.tar"),
        archive_entry("oci-archive:/a/secret/t.tar"), archive_entry("http://127.0.0.1/secret")}) {
    export_with(entry);
    expect_hides(read_file(file()), {"secret", "source_url", "source_sha256"});
  }
  export_with(archive_entry("https://a.example/tool.tar"));
  expect_says(read_file(file()), {"https://a.example/tool.tar"});
}

struct HostileEntry {
  const char* name;
  std::string entry;
  std::string complaint;
  friend void PrintTo(const HostileEntry& self, std::ostream* out) { *out << self.name; }
};

std::string changed_entry(const json& changes = json::object()) {
  json made = entry();
  made.update(changes);
  return made.dump();
}

class HostileEntries : public ImportedEntry, public ::testing::WithParamInterface<HostileEntry> {};

TEST_P(HostileEntries, AreRefused) {
  const fs::path layout = dir_ / "hostile";
  write_layout(layout, {{"io.pyro.environment.name", "tool:1"},
                        {"io.pyro.environment.version", "1.0.0"},
                        {"io.pyro.environment.entry", GetParam().entry}});
  expect_failure(
      over_there({"env", "import", layout.string()}), 5,
      {"the catalog entry in " + layout.string() + " cannot be used", GetParam().complaint});
  EXPECT_FALSE(fs::exists(user_catalog()));
  EXPECT_FALSE(fs::exists(there() / "linux-x86_64"));
}

INSTANTIATE_TEST_SUITE_P(
    All, HostileEntries,
    ::testing::Values(
        HostileEntry{"NoJson", "{", ""}, HostileEntry{"NoObject", "[]", "expected an object"},
        HostileEntry{"OtherName", changed_entry({{"name", "tool:2"}}), "it is of tool:2 1.0.0"},
        HostileEntry{"OtherVersion", changed_entry({{"version", "2"}}), "it is of tool:1 2"},
        HostileEntry{"NameOfPath", changed_entry({{"name", "../tool"}}), "field 'name'"},
        HostileEntry{"ProfileOfPath", changed_entry({{"source_profile", "../.."}}),
                     "field 'source_profile'"},
        HostileEntry{"UnknownField", changed_entry({{"more", 1}}), "field 'more': is not known"},
        HostileEntry{"LocalPath", changed_entry({{"source_url", "/etc/passwd"}}),
                     "a source that is for the exporting machine only"},
        HostileEntry{"LocalUrl", changed_entry({{"source_url", "file:///etc/passwd"}}),
                     "a source that is for the exporting machine only"},
        HostileEntry{"Loopback", changed_entry({{"source_url", "http://127.0.0.1:80/x"}}),
                     "a source that is for the exporting machine only"},
        HostileEntry{"Huge", changed_entry({{"description", std::string(70000, 'x')}}),
                     "larger than 64 KiB"},
        HostileEntry{"TwoNames", R"({"name":"tool:1",)" + changed_entry().substr(1), ""}),
    row_name);

TEST_F(OtherCatalog, AsOptionImportsUnderAnotherEntry) {
  use_catalog({entry_of("other:1")});
  for (const Words& words :
       {Words{"env", "import", file(), "--as", "other:1"},
        Words{"env", "import", file(), "tool:1", "--as", "other:1", "--force"}}) {
    pyro_ok(over_there(words));
    expect_there(sample(), "other_1-1.0.0");
    EXPECT_EQ(record_there("other_1-1.0.0")["name"], "other:1");
  }
}

TEST_F(OtherCatalog, RejectsAnotherVersionWithoutAsOption) {
  json newer = entry_of("tool:1");
  newer["version"] = "2.0.0";
  use_catalog({newer});
  expect_failure(over_there({"env", "import", file()}), 1,
                 {"is of version 1.0.0, but the catalog has 2.0.0", "--as tool:1"});
  pyro_ok(over_there({"env", "import", file(), "--as", "tool:1"}));
  expect_there(sample(), "tool_1-2.0.0");
}

TEST_F(OtherCatalog, RejectsIncompatibleEntry) {
  json other = entry_of("tool:1");
  other["compatibility"] = ">=9";
  use_catalog({other});
  expect_failure(over_there({"env", "import", file()}), 1, {"is for catalog versions >=9"});
}

TEST_F(OtherCatalog, PinIsComparedWithDigestNotWithAnnotation) {
  // The annotation truthfully names the pinned digest, and must not satisfy the pin: only the
  // digest of the image itself may.
  const std::string original = sha256_digest("the original");
  json pinned = oci_entry("r.example", "tool", "1");
  pinned["oci_digest"] = original;
  install_by_hand(sample());
  json reference = record();
  reference["source_digest"] = original;
  write_file(install_dir() / "environment.json", reference_json(reference));
  pyro_ok({"env", "export", "tool:1", "-o", file()});
  expect_says(read_file(file()), {original});
  use_catalog({pinned});
  expect_failure(over_there({"env", "import", file()}), 5,
                 {"but the catalog pins " + original, "--preserve-digests"});
  expect_failure(over_there({"env", "import", file(), "--as", "tool:1"}), 5, {"pins"});
}

TEST_F(OtherCatalog, ImportsPinnedImage) {
  json pinned = oci_entry("r.example", "tool", "1");
  pinned["oci_digest"] = digest_;
  use_catalog({pinned});
  pyro_ok(over_there({"env", "import", file()}));
  expect_there(sample());
  EXPECT_EQ(pyro_ok(over_there({"env", "pull", "tool:1"})).out, installed_there().string() + "\n");
  pinned["oci_digest"] = sha256_digest("another");
  use_catalog({pinned});
  // The install is outdated now, and its replacement cannot be fetched offline.
  expect_failure(over_there({"env", "pull", "tool:1"}), 4, {"offline"});
}

TEST_F(OtherCatalog, RejectsImageForPinnedArchive) {
  json pinned = entry_of("tool:1");
  pinned["source_sha256"] = std::string(64, 'a');
  use_catalog({pinned});
  expect_failure(over_there({"env", "import", file()}), 5, {"the catalog pins the archive"});
}

// --- failed exports ---

TEST_F(ExportImportTest, ExportRejectsMissingEnvironments) {
  install("tool:1", sample());
  expect_failure({"env", "export", "tool:1", "tool:2", "-o", file()}, 3,
                 {"environment 'tool:2' is not installed", "pyro env pull tool:2"});
  expect_failure({"env", "export", "tool:9", "-o", file()}, 3, {"unknown environment 'tool:9'"});
  EXPECT_EQ(files(), Words{});
}

TEST_F(ExportImportTest, ExportRejectsModifiedInstall) {
  install("tool:1", sample());
  write_file(file(), "what was there");
  const auto before = files();
  const Words words{"env", "export", "tool:1", "-o", file()};
  const Words says{"environment 'tool:1' is not as it was installed", "--repair tool:1"};
  const auto refused = [&](const std::string& what) {
    Words all = says;
    all.push_back(what);
    expect_failure(words, 5, all);
    EXPECT_EQ(files(), before);
    EXPECT_EQ(read_file(file()), "what was there");
  };
  std::string rootfs = sample().rootfs;
  rootfs[1'500'000] ^= 1;
  write_file(install_dir() / "rootfs.ext4", rootfs);
  refused("rootfs.ext4 was modified");
  write_file(install_dir() / "rootfs.ext4", sample().rootfs + "x");
  refused("bytes instead of");
  write_file(install_dir() / "rootfs.ext4", sample().rootfs);
  fs::remove(install_dir() / "initrd.img");
  refused("initrd.img is missing");
}

TEST_F(ExportImportTest, ExportReportsUnwritablePath) {
  install("tool:1", sample());
  expect_failure({"env", "export", "tool:1", "-o", (dir_ / "none/x.tar").string()}, 6,
                 {"cannot write " + (dir_ / "none/x.tar").string(), "No such file"});
  expect_failure({"env", "export", "tool:1", "-o", dir_.path().string()}, 6,
                 {"cannot write " + dir_.path().string(), "Is a directory"});
}

TEST_F(ExportImportTest, RejectsInvalidUsage) {
  expect_failure({"env", "export", "tool:1"}, 2, {"needs '-o FILE'"});
  expect_failure({"env", "export", "-o", file()}, 2, {"needs a NAME"});
  expect_failure({"env", "export", "tool:1", "-o", ""}, 2, {"needs a value"});
  expect_failure({"env", "export", "tool:1", "-o", file(), "--compress", "lz4"}, 2,
                 {"'lz4' is not one of: zstd, gzip, none"});
  EXPECT_EQ(pyro({"env", "export", "tool:1", "-o", "-", "--json"}).exit_code, 2);
  expect_failure({"env", "import"}, 2, {"needs a FILE"});
  expect_failure({"env", "import", "x", "a", "b", "--as", "c"}, 2, {"one image is imported"});
}

TEST_F(ExportImportTest, ExportToFullDiskFailsAndLeavesNothing) {
  install("tool:1", sample());
  fs::create_directory(dir_ / "out");
  const auto mounted = PrivateMount::tmpfs(dir_ / "out", "size=128k,mode=755");
  if (!mounted) GTEST_SKIP() << "no mounts for this user";
  expect_failure({"env", "export", "tool:1", "-o", file()}, 6,
                 {"cannot write " + file(), "No space left", "free some space, or write it"});
  EXPECT_EQ(files(), Words{});
}

/// Exports 4 TiB of holes, which no host finishes before the test ends.
class LongExport : public ExportImportTest {
 protected:
  LongExport() {
    install_by_hand(sample());
    fs::resize_file(install_dir() / "rootfs.ext4", std::uintmax_t{4} << 40);
    fs::create_directory(dir_ / "out");
    export_ = std::make_unique<BackgroundProcess>(
        command({"env", "export", "tool:1", "-o", file(), "--compress", "none"}), dir_ / "log");
    export_->wait_until("it writes", [&] { return has_output_open(); });
  }
  ~LongExport() override { export_->terminate(); }

  /// The output file has no name until it is complete.
  [[nodiscard]] bool has_output_open() const {
    const auto is_output = [&](const fs::directory_entry& descriptor) {
      std::error_code gone;
      const std::string target = fs::read_symlink(descriptor.path(), gone).string();
      return target.starts_with((dir_ / "out/").string());
    };
    std::error_code gone;
    const fs::directory_iterator descriptors("/proc/" + std::to_string(export_->pid()) + "/fd",
                                             gone);
    return std::any_of(begin(descriptors), end(descriptors), is_output);
  }

  std::unique_ptr<BackgroundProcess> export_;
};

TEST_F(LongExport, InterruptedExportLeavesNothing) {
  export_->send_signal(SIGINT);
  EXPECT_EQ(export_->wait().exit_code, 130);
  EXPECT_EQ(files(), Words{});
}

TEST_F(LongExport, PruneSkipsInstallBeingExported) {
  use_catalog({});
  const json report = pyro_json({"env", "prune"});
  EXPECT_EQ(report["deleted_environment_dirs"], json::array());
  EXPECT_EQ(report["skipped_in_use"], json::array({"tool_1-1.0.0"}));
}

TEST_F(ExportImportTest, ExportToClosedPipeLeavesNothing) {
  install("tool:1", sample());
  const std::string script =
      "'" + command({}).argv[0] + "' env export tool:1 -o - | head -c 100 >/dev/null";
  Command piped = command({});
  piped.argv = {"bash", "-c", "set -o pipefail; " + script};
  piped.env["PATH"] = "/usr/bin:/bin";
  EXPECT_EQ(run(piped).exit_code, 6);
  EXPECT_EQ(tree(cache() / "staging"), Words{});
}

/// An export of more than a pipe holds.
class PipedExport : public ExportImportTest {
 protected:
  PipedExport() {
    install_by_hand(sample());
    write_file(install_dir() / "rootfs.ext4", noise(std::size_t{1} << 20));
  }

  /// `script` has the words of the export as "$@".
  Command through(const std::string& script) const {
    Command piped = command({"env", "export", "tool:1", "-o", "-"});
    const Words shell{"bash", "-c", "set -o pipefail; " + script, "bash"};
    piped.argv.insert(piped.argv.begin(), shell.begin(), shell.end());
    piped.env["PATH"] = "/usr/bin:/bin";
    return piped;
  }
};

TEST_F(PipedExport, CanBeInterruptedWhileReaderStalls) {
  const fs::path pipe = dir_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const FileDescriptor reader(::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  BackgroundProcess stalled(through("exec \"$@\" >" + pipe.string()), dir_ / "log");
  stalled.wait_until("the pipe is full", [&] {
    int held = 0;
    return ::ioctl(reader.get(), FIONREAD, &held) == 0 && held > (60 << 10);
  });
  stalled.send_signal(SIGINT);
  EXPECT_EQ(stalled.wait().exit_code, 130);
  EXPECT_EQ(tree(cache() / "staging"), Words{});
}

TEST_F(PipedExport, WaitsForNonBlockingPipe) {
  const std::string no_waiting =
      "python3 -c 'import fcntl, os, sys; fcntl.fcntl(1, fcntl.F_SETFL, os.O_NONBLOCK); "
      "os.execv(sys.argv[1], sys.argv[1:])' \"$@\"";
  const ProcessResult slow =
      run(through(no_waiting + " | { sleep 0.5; cat; } >" + file("slow.tar")));
  EXPECT_EQ(slow.exit_code, 0) << slow.err;
  pyro_ok({"env", "export", "tool:1", "-o", file()});
  EXPECT_EQ(read_file(file("slow.tar")), read_file(file()));
}

// --- layouts of skopeo ---

class Skopeo : public ExportImportTest {
 protected:
  Skopeo() {
    variables_["SSL_CERT_FILE"] = authority_.certificate_file().string();
    options_.certificate_dir = authority_.certificate_dir();
  }

  std::string in_registry(const std::string& name) const { return "docker://" + path(name); }
  std::string path(const std::string& name) const { return registry_.host() + "/team/" + name; }

  CertificateAuthority authority_{dir_ / "authority"};
  RealRegistry registry_{authority_};
  SkopeoOptions options_;
};

TEST_F(Skopeo, ReadsAnExport) {
  export_tools();
  const ProcessResult inspected = skopeo_inspect("oci-archive:" + file() + ":tool:1", false);
  EXPECT_EQ(inspected.exit_code, 0) << inspected.err;
  const json image = parse_json(inspected.out);
  EXPECT_EQ(image["Architecture"], "amd64");
  EXPECT_EQ(image["Os"], "linux");
  EXPECT_EQ(image["Layers"].size(), 1U);
}

TEST_F(Skopeo, CopiesExportIntoRegistryForPull) {
  export_tools();
  skopeo_copy("oci-archive:" + file() + ":tool:2", in_registry("two:1"), options_);
  use_catalog({oci_entry(registry_.host(), "team/two", "1", "tool:2")});
  fs::remove_all(cache());
  pyro_ok({"env", "pull", "tool:2"});
  expect_installed(other_artifacts(2), "tool:2");
}

TEST_F(Skopeo, CopiesExportOutOfRegistryForImport) {
  export_tools();
  skopeo_copy("oci-archive:" + file() + ":tool:2", in_registry("two:1"), options_);
  skopeo_copy(in_registry("two:1"), "oci-archive:" + file("back.tar"), options_);
  // skopeo wrote a new index; the manifest still has the annotations.
  pyro_ok(over_there({"env", "import", file("back.tar")}));
  expect_there(other_artifacts(2), "tool_2-1.0.0");
}

TEST_F(Skopeo, CopiesForeignImageForImportWithAsOption) {
  const std::string digest = push_image(image_of(sample()), path("one:1"), options_);
  skopeo_copy(in_registry("one:1"), "oci-archive:" + file() + ":one", options_);
  skopeo_copy(in_registry("one:1"), "oci:" + (dir_ / "layout").string() + ":one", options_);
  json pinned = oci_entry(registry_.host(), "team/one", "1");
  pinned["oci_digest"] = digest;
  use_catalog({pinned});
  for (const std::string& layout : {file(), (dir_ / "layout").string()}) {
    expect_failure(over_there({"env", "import", layout}), 3,
                   {"does not say which environments it has", "--as NAME"});
    pyro_ok(over_there({"env", "import", layout, "--as", "tool:1", "--force"}));
    expect_there(sample());
    EXPECT_EQ(record_there()["source_digest"], digest);
    pyro_ok(over_there({"env", "import", layout, "one", "--as", "tool:1"}));
  }
}

TEST_F(Skopeo, WritesLayoutsUsableAsSources) {
  const std::string digest = push_image(image_of(sample()), path("one:1"), options_);
  push_image(image_of(other_artifacts(2)), path("two:1"), options_);
  const std::string layout = (dir_ / "layout").string();
  skopeo_copy(in_registry("one:1"), "oci:" + layout + ":one", options_);
  skopeo_copy(in_registry("two:1"), "oci:" + layout + ":debian:12", options_);
  skopeo_copy(in_registry("one:1"), "oci-archive:" + file(), options_);
  json pinned = archive_entry("oci:../../../../layout:one");
  pinned["oci_digest"] = digest;
  use_catalog({pinned, archive_entry("oci:" + layout + ":debian:12", "tool:2"),
               archive_entry("oci-archive:" + file(), "tool:3")});
  pyro_ok({"env", "pull", "--offline", "tool:1", "tool:2", "tool:3"});
  expect_installed(sample(), "tool:1");
  expect_installed(other_artifacts(2), "tool:2");
  expect_installed(sample(), "tool:3");
  EXPECT_EQ(record()["source"], "oci:" + layout + "@" + digest);
  EXPECT_EQ(record("tool:3")["source"], "oci-archive:" + file() + "@" + digest);
  pinned["oci_digest"] = sha256_digest("another");
  use_catalog({pinned});
  expect_failure({"env", "pull", "tool:1"}, 5, {"but the catalog pins"});
  expect_installed(sample());
}

// --- artifacts that are layers ---

class FileLayers : public RegistryHarness {
 protected:
  struct File {
    std::string title;
    std::string bytes;
    std::string media_type = media_type::kOciLayer;  // as oras calls them by default
  };

  static Image image_of_files(const std::vector<File>& files) {
    ImageBuilder builder;
    for (const File& file : files) builder.raw_layer(file.bytes, file.media_type);
    builder.edit_manifest([files](json& manifest) {
      manifest["artifactType"] = "application/vnd.example.environment";
      manifest["config"]["mediaType"] = "application/vnd.oci.empty.v1+json";
      for (std::size_t i = 0; i < files.size(); ++i) {
        manifest["layers"][i]["annotations"] = {{"org.opencontainers.image.title", files[i].title}};
      }
    });
    return builder.build();
  }

  static Image plain() {
    return image_of_files({{"README.md", "read me"},
                           {"vmlinux", sample().kernel},
                           {"rootfs.ext4", sample().rootfs, "application/octet-stream"},
                           {"initrd.img", initrd(), "application/vnd.example.initrd"}});
  }
  static Image packed() {
    return image_of_files({{"vmlinux.gz", compress(sample().kernel, Compression::gzip)},
                           {"rootfs.ext4.zst", compress(sample().rootfs, Compression::zstd)},
                           {"out/initrd.img", initrd()}});
  }

  void expect_all() const {
    expect_installed(sample());
    EXPECT_TRUE(holds(install_dir() / "initrd.img", initrd()));
    EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
  }
};

TEST_F(FileLayers, AreInstalledFromARegistry) {
  for (const Image& image : {plain(), packed()}) {
    offer(image);
    pyro_ok({"env", "pull", "--force", "tool:1"});
    expect_all();
  }
}

TEST_F(FileLayers, SkipsLayersThatAreNoArtifacts) {
  const Image image = plain();
  offer(image);
  pyro_ok({"env", "pull", "tool:1"});
  for (const RecordedRequest& request : registry_->requests()) {
    expect_hides(request.request.path, {sha256_digest("read me")});
  }
}

TEST_F(FileLayers, AreInstalledFromALayout) {
  write_oci_layout(plain(), dir_ / "layout", "plain");
  write_oci_layout(packed(), dir_ / "layout", "packed");
  for (const char* tag : {"plain", "packed"}) {
    use_catalog({archive_entry("oci:" + (dir_ / "layout").string() + ":" + tag)});
    pyro_ok({"env", "pull", "--force", "tool:1"});
    expect_all();
  }
}

TEST_F(FileLayers, RejectsTwoLayersOfOneName) {
  offer(image_of_files({{"vmlinux", "a"}, {"vmlinux.gz", "b"}, {"rootfs.ext4", "c"}}));
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err, {"two layers are called 'vmlinux'"});
}

TEST_F(FileLayers, RejectsTitlesThatArePaths) {
  for (const char* title : {"../../vmlinux", "/etc/vmlinux"}) {
    offer(image_of_files({{title, "kernel"}, {"rootfs.ext4", "root"}}));
    const ProcessResult result = pyro({"env", "pull", "tool:1"});
    EXPECT_EQ(result.exit_code, 5);
    expect_says(result.err, {title});
  }
}

TEST_F(FileLayers, RejectsArtifactAboveMaxSize) {
  offer(packed());
  const ProcessResult result = pyro({"env", "pull", "tool:1", "--max-size", "1MiB"});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err, {"'rootfs.ext4' would take", "the limit is 1 MiB", "--max-size"});
}

// --- offline ---

class Offline : public RegistryHarness {
 protected:
  Offline() { offer(image_of(sample())); }

  void expect_refused(const Words& words, const Variables& variables = {}) {
    const ProcessResult result = pyro(words, variables);
    EXPECT_EQ(result.exit_code, 4) << result.err;
    expect_says(result.err,
                {"offline: " + registry_->host() + " is not asked", "'pyro env export'", "import"});
    EXPECT_TRUE(registry_->requests().empty());
  }
};

TEST_F(Offline, FailsWithoutSendingRequests) {
  expect_refused({"env", "pull", "tool:1", "--offline"});
  expect_refused({"--offline", "env", "pull", "--force", "tool:1"});
  expect_refused({"env", "pull", "tool:1"}, {{"PYRO_OFFLINE", "1"}});
  expect_refused({"env", "pull", "tool:1", "--offline"}, {{"PYRO_OFFLINE", "0"}});
  json archive = archive_entry("https://" + registry_->host() + "/tool.tar");
  use_catalog({archive});
  expect_refused({"env", "pull", "tool:1", "--offline"});
}

TEST_F(Offline, AllowsCommandsThatNeedNoHost) {
  for (const char* no : {"0", "false", "no", "off"}) {
    pyro_ok({"env", "pull", "tool:1"}, {{"PYRO_OFFLINE", no}});
  }
  pyro_ok({"env", "pull", "tool:1", "--offline"});
  pyro_ok({"env", "list", "--offline"});
  write_file(dir_ / "tool.tar", tar_of(other_artifacts(2)));
  use_catalog({archive_entry((dir_ / "tool.tar").string())});
  pyro_ok({"env", "pull", "--force", "tool:1", "--offline"});
  expect_installed(other_artifacts(2));
}

TEST_F(Offline, RejectsInvalidVariable) {
  const ProcessResult result = pyro({"env", "list"}, {{"PYRO_OFFLINE", "maybe"}});
  EXPECT_EQ(result.exit_code, 2);
  expect_says(result.err, {"PYRO_OFFLINE: 'maybe' is not 1 or 0"});
}

TEST_F(Offline, DoctorReportsOfflineMode) {
  const ProcessResult result = pyro({"doctor", "--offline", "--check-registry", "--json"});
  bool said = false;
  const json document = parse_json(result.out);
  for (const json& finding : document["findings"]) {
    EXPECT_EQ(finding["name"].get<std::string>().find("registry"), std::string::npos);
    if (finding["name"] == "network") said = finding["status"] == "warning";
  }
  EXPECT_TRUE(said) << result.out;
  EXPECT_TRUE(registry_->requests().empty());
}

}  // namespace
}  // namespace pyro::testing
