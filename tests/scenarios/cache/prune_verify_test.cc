// Installs removed and kept by prune; damage found by verify and replaced by repair.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <functional>

#include "scenarios/held_lock.h"
#include "scenarios/private_mount.h"
#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class PruneTest : public PyroHarness {
 protected:
  PruneTest() { use_catalog({entry(), entry("good:1")}); }

  /// The report lists exactly these as removed, and these as kept for a reason.
  void expect_pruned(const json& report, const std::vector<std::string>& deleted,
                     const std::vector<std::string>& in_use = {},
                     const std::vector<std::string>& other_catalog = {}) const {
    json expected{{"deleted_environment_dirs", deleted},
                  {"count", deleted.size()},
                  {"bytes_reclaimed", report.value("bytes_reclaimed", json())},
                  {"skipped_in_use", in_use},
                  {"skipped_other_catalog", other_catalog},
                  {"failed", json::array()},
                  {"dry_run", report.value("dry_run", json())}};
    EXPECT_EQ(report, expected);
    EXPECT_TRUE(report["bytes_reclaimed"].is_number_unsigned());
    EXPECT_TRUE(report["dry_run"].is_boolean());
  }

  json record_of(const std::string& name, const std::string& version = "1.0.0") const {
    return reference_record(name, version, "cache", nullptr);
  }
};

struct Leftover {
  const char* name;
  /// Makes an entry in the cache and returns its name in prune's report.
  std::function<std::string(const fs::path& cache)> make;
  bool goes;
  std::vector<std::string> options = {};

  friend void PrintTo(const Leftover& self, std::ostream* out) { *out << self.name; }
};

void write_install(const fs::path& folder, const std::string& record) {
  write_file(folder / "vmlinux", "kernel");
  write_file(folder / "rootfs.ext4", std::string(100'000, 'r'));
  if (!record.empty()) write_file(folder / "environment.json", record);
}

std::string record_text(const std::string& name, const std::string& version = "1.0.0",
                        const json& more = json::object()) {
  json record = reference_record(name, version, "cache", nullptr);
  record.update(more);
  return reference_json(record);
}

/// An install directory in the platform folder.
std::function<std::string(const fs::path&)> install(const std::string& folder,
                                                    const std::string& record) {
  return [=](const fs::path& cache) {
    write_install(cache / "linux-x86_64" / folder, record);
    return folder;
  };
}

const std::vector<Leftover> kLeftovers = {
    {"Staging",
     [](const fs::path& cache) {
       write_file(cache / "staging/0123456789abcdef/candidate-0", std::string(50'000, 'x'));
       return "staging/0123456789abcdef";
     },
     true},
    {"StagedFile",
     [](const fs::path& cache) {
       write_file(cache / "staging/file", "x");
       return "staging/file";
     },
     true},
    {"Partial",
     [](const fs::path& cache) {
       write_file(cache / "partial/sha256-00", "x");
       return "partial/sha256-00";
     },
     true},
    {"PartialOfReference",
     [](const fs::path& cache) {
       write_file(cache / "linux-x86_64/.partial-abc123/layer-0.tar", "x");
       return ".partial-abc123";
     },
     true},
    {"NoRecord", install("tool_1-1.0.0", ""), true},
    {"EmptyFolder",
     [](const fs::path& cache) {
       fs::create_directories(cache / "linux-x86_64/empty");
       return "empty";
     },
     true},
    {"RecordIsNoJson", install("tool_1-1.0.0", "{"), true},
    {"RecordIsAList", install("tool_1-1.0.0", "[]"), true},
    {"RecordWithoutName", install("tool_1-1.0.0", R"({"version": "1.0.0"})"), true},
    {"RecordWithANumberForAVersion", install("tool_1-1.0.0", R"({"name": "tool:1", "version": 1})"),
     true},
    {"RecordIsAFolder",
     [](const fs::path& cache) {
       write_install(cache / "linux-x86_64/tool_1-1.0.0", "");
       fs::create_directories(cache / "linux-x86_64/tool_1-1.0.0/environment.json");
       return "tool_1-1.0.0";
     },
     true},
    {"RecordIsALink",
     [](const fs::path& cache) {
       write_install(cache / "linux-x86_64/tool_1-1.0.0", "");
       fs::create_symlink("../good_1-1.0.0/environment.json",
                          cache / "linux-x86_64/tool_1-1.0.0/environment.json");
       return "tool_1-1.0.0";
     },
     true},
    {"UnknownName", install("stranger-1.0.0", record_text("stranger")), true},
    {"AnotherVersion", install("tool_1-0.9.0", record_text("tool:1", "0.9.0")), true},
    {"MissingKernel",
     [](const fs::path& cache) {
       write_install(cache / "linux-x86_64/tool_1-1.0.0", record_text("tool:1"));
       fs::remove(cache / "linux-x86_64/tool_1-1.0.0/vmlinux");
       return "tool_1-1.0.0";
     },
     true},
    {"KernelIsADanglingLink",
     [](const fs::path& cache) {
       const fs::path folder = cache / "linux-x86_64/tool_1-1.0.0";
       write_install(folder, record_text("tool:1"));
       fs::remove(folder / "vmlinux");
       fs::create_symlink("/does/not/exist", folder / "vmlinux");
       return "tool_1-1.0.0";
     },
     true},
    {"GoodInstall", install("tool_1-1.0.0", record_text("tool:1")), false},
    {"FileInThePlatformFolder",
     [](const fs::path& cache) {
       write_file(cache / "linux-x86_64/notes.txt", "mine");
       return "notes.txt";
     },
     false},
    {"FolderBesideThePlatforms",
     [](const fs::path& cache) {
       write_file(cache / "something/else", "mine");
       return "something";
     },
     false},
    {"GoodInstallWithUnknown",
     install("tool_1-1.0.0", record_text("tool:1")),
     false,
     {"--unknown"}},
    {"OtherCatalogWithUnknown",
     install("theirs-1.0.0",
             record_text("theirs", "1.0.0", {{"catalog_file", "/not/loaded.json"}})),
     true,
     {"--unknown"}},
};

class LeftoverTest : public PruneTest, public ::testing::WithParamInterface<Leftover> {
 protected:
  json prune(std::vector<std::string> words) const {
    words.insert(words.end(), GetParam().options.begin(), GetParam().options.end());
    return pyro_json(words);
  }
};

TEST_P(LeftoverTest, IsRemovedOrKept) {
  write_install(install_dir("good:1"), record_text("good:1"));
  const auto without = cache_state();
  const std::string name = GetParam().make(cache());
  const auto with = cache_state();
  const std::vector<std::string> gone =
      GetParam().goes ? std::vector<std::string>{name} : std::vector<std::string>{};

  const auto everything = snapshot(cache());
  const json dry = prune({"env", "prune", "--dry-run"});
  expect_pruned(dry, gone);
  EXPECT_EQ(dry["dry_run"], true);
  EXPECT_EQ(snapshot(cache()), everything);

  const json pruned = prune({"env", "prune"});
  expect_pruned(pruned, gone);
  EXPECT_EQ(pruned["dry_run"], false);
  EXPECT_EQ(pruned["bytes_reclaimed"], dry["bytes_reclaimed"]);
  EXPECT_EQ(cache_state(), GetParam().goes ? without : with);
  if (GetParam().goes) expect_pruned(prune({"env", "prune"}), {});
}

INSTANTIATE_TEST_SUITE_P(Leftovers, LeftoverTest, ::testing::ValuesIn(kLeftovers), row_name);

TEST_F(PruneTest, ReportsAllLeftoversSorted) {
  write_install(install_dir("good:1"), record_text("good:1"));
  write_install(platform_dir() / "zebra", "");
  write_install(platform_dir() / "ape", "{");
  write_file(platform_dir() / ".partial-x/file", "x");
  write_file(cache() / "staging/abc/file", "x");
  const json pruned = pyro_json({"env", "prune"});
  expect_pruned(pruned, {".partial-x", "ape", "staging/abc", "zebra"});
  EXPECT_GT(pruned.value("bytes_reclaimed", 0), 0);
  EXPECT_LT(pruned.value("bytes_reclaimed", 0), 400'000);
  const auto left = cache_state();
  EXPECT_EQ(left.size(), 4u) << "good:1, its record and its artifacts";
}

TEST_F(PruneTest, ReclaimedBytesExcludeHoles) {
  write_install(platform_dir() / "hollow", "");
  fs::resize_file(platform_dir() / "hollow/rootfs.ext4", std::size_t{1} << 30);
  EXPECT_LT(pyro_json({"env", "prune"}).value("bytes_reclaimed", 1 << 30), 1 << 20);
}

TEST_F(PruneTest, LiveStagingIsKept) {
  write_file(cache() / "staging/live/candidate-0", "x");
  write_file(cache() / "staging/stale/candidate-0", "x");
  const auto lock = HeldLock::of_use(cache(), cache() / "staging/live", LOCK_EX);
  expect_pruned(pyro_json({"env", "prune"}), {"staging/stale"});
  EXPECT_TRUE(fs::exists(cache() / "staging/live/candidate-0"));
}

TEST_F(PruneTest, InstallInUseIsKept) {
  for (const int kind : {LOCK_EX, LOCK_SH}) {
    write_install(platform_dir() / "stranger-1.0.0", record_text("stranger"));
    const auto lock = HeldLock::of_use(cache(), platform_dir() / "stranger-1.0.0", kind);
    expect_pruned(pyro_json({"env", "prune", "--dry-run"}), {}, {"stranger-1.0.0"});
    expect_pruned(pyro_json({"env", "prune"}), {}, {"stranger-1.0.0"});
    EXPECT_TRUE(fs::exists(platform_dir() / "stranger-1.0.0/vmlinux"));
  }
  expect_pruned(pyro_json({"env", "prune"}), {"stranger-1.0.0"});
}

TEST_F(PruneTest, InstallBeingPulledIsKept) {
  write_install(install_dir(), "");
  write_file(cache() / "locks/tool_1-1.0.0.lock", "");
  const HeldLock lock(cache() / "locks/tool_1-1.0.0.lock");
  expect_pruned(pyro_json({"env", "prune", "--dry-run"}), {}, {"tool_1-1.0.0"});
  expect_pruned(pyro_json({"env", "prune"}), {}, {"tool_1-1.0.0"});
}

TEST_F(PruneTest, InstallsOfOtherCatalogsAreKept) {
  const fs::path team = write_catalog(dir_ / "team.json", {entry("team:1")});
  write_install(install_dir("team:1"),
                record_text("team:1", "1.0.0", {{"catalog_file", team.string()}}));
  expect_pruned(pyro_json({"env", "prune"}), {}, {}, {"team_1-1.0.0"});
  expect_pruned(pyro_json({"env", "prune", "--catalog", team.string()}), {});
  expect_pruned(pyro_json({"env", "prune", "--unknown", "--catalog", team.string()}), {});
  // The catalog is loaded, and the environment no longer in it.
  write_catalog(team, {entry("team:2")});
  expect_pruned(pyro_json({"env", "prune", "--dry-run", "--catalog", team.string()}),
                {"team_1-1.0.0"});
  expect_pruned(pyro_json({"env", "prune", "--unknown"}), {"team_1-1.0.0"});
}

TEST_F(PruneTest, MatchesCatalogFileInAnySpelling) {
  const fs::path team = write_catalog(dir_ / "team.json", {entry("team:1")});
  fs::create_directories(dir_ / "folder");
  fs::create_symlink(team, dir_ / "link.json");
  write_install(install_dir("team:1"),
                record_text("team:1", "1.0.0", {{"catalog_file", team.string()}}));
  for (const std::string& spelling :
       {team.string(), std::string("team.json"), std::string("./team.json"),
        std::string("folder/../team.json"), std::string("link.json")}) {
    SCOPED_TRACE(spelling);
    expect_pruned(pyro_json({"env", "prune", "--unknown", "--catalog", spelling}), {});
  }
  EXPECT_EQ(
      pyro_json({"env", "list", "--installed", "--catalog", "link.json"})["environments"].size(),
      1u);
}

// The catalog was moved, or another one has the same environment: installed ones must stay.
TEST_F(PruneTest, UnknownOptionSparesEntriesOfLoadedCatalogs) {
  write_install(install_dir("tool:1"),
                record_text("tool:1", "1.0.0", {{"catalog_file", "/moved/away.json"}}));
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"})["installed"], true);
  expect_pruned(pyro_json({"env", "prune", "--unknown"}), {});
}

TEST_F(PruneTest, LinksAreNeverFollowed) {
  const fs::path outside = dir_ / "outside";
  write_file(outside / "precious", "mine");
  write_file(outside / ".partial-precious/file", "mine");
  const auto before = snapshot(outside);
  fs::create_directories(platform_dir() / "broken");
  fs::create_directories(cache() / "staging");
  fs::create_directory_symlink(outside, platform_dir() / "linked-1.0.0");
  fs::create_directory_symlink(outside, platform_dir() / ".partial-linked");
  fs::create_directory_symlink(outside, platform_dir() / "broken/inner");
  fs::create_directory_symlink(outside, cache() / "staging/linked");
  const json pruned = pyro_json({"env", "prune"});
  expect_pruned(pruned, {".partial-linked", "broken", "staging/linked"});
  EXPECT_EQ(snapshot(outside), before);
  EXPECT_TRUE(fs::is_symlink(platform_dir() / "linked-1.0.0")) << "not an install";
}

TEST_F(PruneTest, PlatformFolderThatIsALinkIsNotPruned) {
  const fs::path outside = dir_ / "outside";
  write_install(outside / "stranger-1.0.0", record_text("stranger"));
  fs::create_directories(cache());
  fs::create_directory_symlink(outside, platform_dir());
  const auto before = snapshot(outside);
  expect_pruned(pyro_json({"env", "prune"}), {});
  EXPECT_EQ(snapshot(outside), before);
}

TEST_F(PruneTest, ReportsFailedRemovals) {
  write_install(platform_dir() / "stuck", "");
  write_install(platform_dir() / "loose", "");
  std::unique_ptr<PrivateMount> mounted;
  if (::geteuid() == 0) {
    // A mount point cannot be moved or removed.
    mounted = PrivateMount::read_only(platform_dir() / "stuck");
    if (!mounted) GTEST_SKIP() << "root may not mount here, and no mode stops root";
  } else {
    write_file(platform_dir() / "stuck/folder/file", "x");
    fs::permissions(platform_dir() / "stuck/folder", fs::perms(0555));
  }
  json pruned = pyro_json({"env", "prune"}, 6);
  ASSERT_EQ(pruned["failed"].size(), 1u) << pruned;
  EXPECT_EQ(pruned["failed"][0].size(), 2u);
  expect_says(pruned["failed"][0]["name"], {"stuck"});
  EXPECT_TRUE(pruned["failed"][0]["error"].is_string());
  pruned["failed"] = json::array();
  expect_pruned(pruned, {"loose"});
  EXPECT_FALSE(fs::exists(platform_dir() / "loose"));
  const ProcessResult again = pyro({"env", "prune"});
  EXPECT_EQ(again.exit_code, 6);
  expect_says(again.err, {"pyro: error: cannot remove", "stuck"});
  expect_hides(again.out, {"removed"});
}

// verify.

class VerifyTest : public RegistryHarness {
 protected:
  VerifyTest() {
    offer(image_of(sample()));
    pyro_ok({"env", "pull", "tool:1"});
    registry_->forget_requests();
  }

  fs::path rootfs() const { return install_dir() / "rootfs.ext4"; }
  fs::path kernel() const { return install_dir() / "vmlinux"; }

  static void flip_byte(const fs::path& file, std::size_t offset) {
    std::string bytes = read_file(file);
    bytes.at(offset) ^= 1;
    write_file(file, bytes);
  }
};

struct Damage {
  const char* name;
  std::function<void(const fs::path& install)> harm;
  const char* status;
  const char* kernel;
  const char* rootfs;

  friend void PrintTo(const Damage& self, std::ostream* out) { *out << self.name; }
};

void change_rootfs(const fs::path& install, const std::function<void(std::string&)>& change) {
  std::string bytes = read_file(install / "rootfs.ext4");
  change(bytes);
  write_file(install / "rootfs.ext4", bytes);
}

/// Keeps the holes.
void write_at(const fs::path& file, std::uint64_t offset, std::string_view bytes) {
  std::fstream out(file, std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(static_cast<std::streamoff>(offset));
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

constexpr std::uint64_t kInData = 50'000;
constexpr std::uint64_t kInHole = 700'000;

const std::vector<Damage> kDamages = {
    {"None", [](const fs::path&) {}, "ok", "ok", "ok"},
    {"ByteInData",
     [](const fs::path& install) {
       write_at(install / "rootfs.ext4", kInData,
                std::string(1, static_cast<char>(sample().rootfs[kInData] ^ 1)));
     },
     "modified", "ok", "modified"},
    {"ByteInAHole",
     [](const fs::path& install) { write_at(install / "rootfs.ext4", kInHole, "x"); }, "modified",
     "ok", "modified"},
    {"LastByte",
     [](const fs::path& install) {
       write_at(install / "rootfs.ext4", sample().rootfs.size() - 1, "x");
     },
     "modified", "ok", "modified"},
    {"ByteOfTheKernel", [](const fs::path& install) { write_at(install / "vmlinux", 0, "x"); },
     "modified", "modified", "ok"},
    {"ZerosInsteadOfAHole",  // as cp without --sparse writes them: same content
     [](const fs::path& install) { change_rootfs(install, [](std::string&) {}); }, "ok", "ok",
     "ok"},
    {"OneHole",
     [](const fs::path& install) {
       fs::resize_file(install / "rootfs.ext4", 0);
       fs::resize_file(install / "rootfs.ext4", sample().rootfs.size());
     },
     "modified", "ok", "modified"},
    {"ZeroFilled",
     [](const fs::path& install) {
       change_rootfs(install, [](std::string& bytes) { bytes.assign(bytes.size(), '\0'); });
     },
     "modified", "ok", "modified"},
    {"Truncated",
     [](const fs::path& install) { fs::resize_file(install / "rootfs.ext4", 1 << 20); }, "modified",
     "ok", "modified"},
    {"Empty", [](const fs::path& install) { fs::resize_file(install / "vmlinux", 0); }, "modified",
     "modified", "ok"},
    {"OneByteLonger",
     [](const fs::path& install) {
       fs::resize_file(install / "rootfs.ext4", sample().rootfs.size() + 1);
     },
     "modified", "ok", "modified"},
    {"Missing", [](const fs::path& install) { fs::remove(install / "rootfs.ext4"); }, "missing",
     "ok", "missing"},
    {"ModifiedAndMissing",
     [](const fs::path& install) {
       fs::remove(install / "vmlinux");
       write_at(install / "rootfs.ext4", kInData, "xx");
     },
     "missing", "missing", "modified"},
    {"NoDigests",
     [](const fs::path& install) {
       json record = parse_json(read_file(install / "environment.json"));
       record.erase("artifacts");
       write_file(install / "environment.json", record.dump());
     },
     "unverifiable", "unverifiable", "unverifiable"},
};

class DamageTest : public VerifyTest, public ::testing::WithParamInterface<Damage> {
 protected:
  static bool is_bad(const std::string& status) {
    return status == "modified" || status == "missing";
  }
  bool bad() const { return is_bad(GetParam().status); }
};

TEST_P(DamageTest, IsFoundAndRepaired) {
  const json recorded = record()["artifacts"];
  GetParam().harm(install_dir());
  const auto damaged = snapshot(cache());
  const json verified = pyro_json({"env", "verify", "tool:1"}, bad() ? 5 : 0);
  ASSERT_EQ(verified.size(), 1u);
  json report = verified[0];
  ASSERT_EQ(report["artifacts"].size(), 2u) << report;
  for (json& artifact : report["artifacts"]) {
    EXPECT_EQ(artifact.size(), 4u) << artifact;
    const fs::path file = install_dir() / artifact["name"].get<std::string>();
    EXPECT_EQ(artifact["size"], fs::exists(file) ? json(fs::file_size(file)) : json());
    const bool ok = artifact["status"] == "ok";
    EXPECT_EQ(artifact["digest"] == recorded[artifact["name"].get<std::string>()]["digest"], ok);
    artifact.erase("size");
    artifact.erase("digest");
  }
  EXPECT_EQ(report, (json{{"name", "tool:1"},
                          {"version", "1.0.0"},
                          {"status", GetParam().status},
                          {"artifacts",
                           {{{"name", "vmlinux"}, {"status", GetParam().kernel}},
                            {{"name", "rootfs.ext4"}, {"status", GetParam().rootfs}}}}}));
  EXPECT_EQ(pyro_json({"env", "verify"}, bad() ? 5 : 0), verified);
  EXPECT_EQ(snapshot(cache()), damaged) << "verify only looks";

  pyro_ok({"env", "pull", "--repair", "tool:1"});
  EXPECT_EQ(registry_->count(RequestKind::blob), bad() ? 1 : 0);
  if (!bad()) {
    EXPECT_EQ(cache_state(), without_scaffolding(damaged)) << "a good one is left alone";
  }
  expect_installed(sample());
}

INSTANTIATE_TEST_SUITE_P(Damages, DamageTest, ::testing::ValuesIn(kDamages), row_name);

TEST_F(VerifyTest, TextOutputNamesModifiedArtifact) {
  EXPECT_EQ(pyro_ok({"env", "verify"}).err, "");
  flip_byte(rootfs(), kInData);
  const ProcessResult result = pyro({"env", "verify", "tool:1"});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.out, {"tool:1", "rootfs.ext4", "modified"});
  expect_says(result.err, {"'tool:1' is not as it was installed", "--repair tool:1"});
}

TEST_F(VerifyTest, ReportsEachNamedEnvironment) {
  use_catalog({oci_entry(registry_->host()),
               oci_entry(registry_->host(), kRepository, "1", "second"),
               oci_entry(registry_->host(), kRepository, "1", "third")});
  pyro_ok({"env", "pull", "second"});
  write_at(kernel(), 10, "xx");
  const json reports = pyro_json({"env", "verify", "second", "third", "tool:1"}, 3);
  ASSERT_EQ(reports.size(), 3u);
  EXPECT_EQ(reports[0]["status"], "ok");
  EXPECT_EQ(reports[1]["name"], "third");
  EXPECT_EQ(reports[1]["error"]["code"], "not_found");
  EXPECT_EQ(reports[2]["status"], "modified");
  const json all = pyro_json({"env", "verify"}, 5);
  EXPECT_EQ(all.size(), 2u) << "third is not installed";
  EXPECT_TRUE(registry_->requests().empty() || registry_->count(RequestKind::manifest) == 1);
}

TEST_F(VerifyTest, UnreadableInstallDoesNotStopOthers) {
  use_catalog({oci_entry(registry_->host()), entry("foreign")});
  fs::create_directories(install_dir("foreign"));
  if (::chown(install_dir("foreign").c_str(), 54321, 54321) != 0) {
    fs::permissions(install_dir("foreign"), fs::perms(0));
  }
  const json reports = pyro_json({"env", "verify"}, 6);
  ASSERT_EQ(reports.size(), 2u);
  EXPECT_EQ(reports[0]["name"], "foreign");
  EXPECT_EQ(reports[0]["error"]["code"], "filesystem");
  EXPECT_EQ(reports[1]["status"], "ok");
  const ProcessResult told = pyro({"env", "verify"});
  EXPECT_EQ(told.exit_code, 6);
  expect_says(told.out, {"tool:1", "ok"});
  expect_says(told.err, {install_dir("foreign").string()});
  fs::remove_all(install_dir());
  expect_hides(pyro({"env", "verify"}).err, {"no environment is installed"});
}

TEST_F(VerifyTest, VerifiesAndRepairsInitrd) {
  registry_->put(kRepository, "1",
                 ImageBuilder()
                     .layer(TarBuilder()
                                .file("vmlinux", sample().kernel)
                                .file("rootfs.ext4", sample().rootfs)
                                .file("initrd.img", "initial")
                                .finish())
                     .build());
  pyro_ok({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(pyro_json({"env", "verify"})[0]["artifacts"].size(), 3u);
  fs::remove(install_dir() / "initrd.img");
  EXPECT_EQ(pyro_json({"env", "verify"}, 5)[0]["status"], "missing");
  pyro_ok({"env", "pull", "--repair", "tool:1"});
  EXPECT_EQ(pyro_json({"env", "verify"})[0]["status"], "ok");
}

TEST_F(VerifyTest, RejectsArtifactThatIsALink) {
  fs::rename(rootfs(), dir_ / "rootfs");
  fs::create_symlink(dir_ / "rootfs", rootfs());
  const json verified = pyro_json({"env", "verify", "tool:1"}, 5);
  EXPECT_NE(verified[0]["status"], "ok");
}

TEST_F(VerifyTest, ForceReplacesGoodInstall) {
  const auto inode = [&] {
    struct stat info {};
    EXPECT_EQ(::stat(rootfs().c_str(), &info), 0);
    return info.st_ino;
  };
  const auto before = inode();
  pyro_ok({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(registry_->count(RequestKind::blob), 1);
  EXPECT_NE(inode(), before);
  expect_installed(sample());
}

struct Obstacle {
  const char* name;
  std::function<void(const fs::path& install)> put;

  friend void PrintTo(const Obstacle& self, std::ostream* out) { *out << self.name; }
};

class ObstacleTest : public VerifyTest, public ::testing::WithParamInterface<Obstacle> {};

TEST_P(ObstacleTest, IsReplacedByThePull) {
  fs::remove_all(install_dir());
  fs::create_directories(dir_ / "outside");
  write_file(dir_ / "outside/precious", "mine");
  GetParam().put(install_dir());
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"})["installed"], false);
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  EXPECT_FALSE(fs::is_symlink(install_dir()));
  EXPECT_TRUE(fs::is_empty(cache() / "staging"));
  EXPECT_EQ(read_file(dir_ / "outside/precious"), "mine");
}

INSTANTIATE_TEST_SUITE_P(
    Obstacles, ObstacleTest,
    ::testing::Values(
        Obstacle{"File", [](const fs::path& install) { write_file(install, "x"); }},
        Obstacle{"EmptyFolder", [](const fs::path& install) { fs::create_directories(install); }},
        Obstacle{"HalfAnInstall",
                 [](const fs::path& install) { write_file(install / "vmlinux", "x"); }},
        Obstacle{"BadRecord", [](const fs::path& install) { write_install(install, "{"); }},
        Obstacle{"LinkToAFolder",
                 [](const fs::path& install) {
                   fs::create_directory_symlink("../../../../../outside", install);
                 }},
        Obstacle{"DanglingLink",
                 [](const fs::path& install) { fs::create_symlink("nowhere", install); }},
        Obstacle{"Pipe",
                 [](const fs::path& install) {
                   run_checked({.argv = {"mkfifo", install.string()}});
                 }},
        Obstacle{
            "NestedFolders",
            [](const fs::path& install) { write_file(install / "environment.json/a/b/c", "x"); }}),
    row_name);

TEST_F(VerifyTest, RepairInstallsMissingEnvironment) {
  fs::remove_all(install_dir());
  pyro_ok({"env", "pull", "--repair", "tool:1"});
  expect_installed(sample());
}

TEST_F(VerifyTest, FailedRepairChangesNothing) {
  write_at(rootfs(), kInData, "xx");
  const auto damaged = cache_state();
  registry_->add_rule({.kind = RequestKind::blob}, faults::flip_byte_at(77));
  EXPECT_EQ(pyro({"env", "pull", "--repair", "tool:1"}).exit_code, 5);
  EXPECT_EQ(cache_state(), damaged);
}

}  // namespace
}  // namespace pyro::testing
