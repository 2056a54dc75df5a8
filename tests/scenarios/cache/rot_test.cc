// Damaged caches: reported correctly, and repaired.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The report of one environment; an error has no list around it.
json only_report(const json& document) {
  return document.is_array() ? document.at(0) : document;
}

class DamagedCacheTest : public RegistryHarness {
 protected:
  DamagedCacheTest() { offer(image_of(sample())); }

  bool is_listed_as_installed() const {
    const json environments = pyro_json({"env", "list"})["environments"];
    const auto tool = std::ranges::find_if(
        environments, [](const json& environment) { return environment["name"] == "tool:1"; });
    EXPECT_NE(tool, environments.end());
    return tool != environments.end() && (*tool)["installed"] == true;
  }

  /// The status of verify, or "absent" if nothing is installed.
  std::string verified() const {
    const ProcessResult result = pyro({"env", "verify", "tool:1", "--json"});
    const json report = only_report(parse_json(result.out));
    if (report.contains("status")) return report["status"];
    EXPECT_EQ(report["error"]["code"], "not_found") << report;
    return "absent";
  }

  void expect_sound() const {
    expect_installed(sample());
    EXPECT_EQ(verified(), "ok");
    EXPECT_EQ(pyro_json({"env", "prune"})["count"], 0);
    EXPECT_TRUE(fs::is_empty(cache() / "staging"));
  }
};

struct Rot {
  const char* name;
  std::function<void(const fs::path& install)> spoil;
  const char* verified;
  bool listed = false;
  /// The command that replaces it; a plain pull replaces only absent installs.
  std::vector<std::string> cure = {"env", "pull", "tool:1"};

  friend void PrintTo(const Rot& self, std::ostream* out) { *out << self.name; }
};

using Spoil = std::function<void(const fs::path&)>;

Spoil change_record(const std::function<void(std::string&)>& change) {
  return [=](const fs::path& install) {
    std::string text = read_file(install / "environment.json");
    change(text);
    write_file(install / "environment.json", text);
  };
}

Spoil edit_record(const std::function<void(json&)>& edit) {
  return change_record([=](std::string& text) {
    json record = parse_json(text);
    edit(record);
    text = record.dump();
  });
}

Spoil in_place_of(const char* name, const std::function<void(const fs::path&)>& put) {
  return [=](const fs::path& install) {
    fs::remove_all(install / name);
    put(install / name);
  };
}

void put_folder(const fs::path& path) {
  fs::create_directory(path);
}
void put_pipe(const fs::path& path) {
  ASSERT_EQ(::mkfifo(path.c_str(), 0644), 0);
}
void put_socket(const fs::path& path) {
  ASSERT_EQ(::mknod(path.c_str(), S_IFSOCK | 0644, 0), 0);
}
void put_dangling_link(const fs::path& path) {
  fs::create_symlink("nowhere", path);
}
void put_loop(const fs::path& path) {
  fs::create_symlink(path.filename(), path);
}
void put_huge_file(const fs::path& path) {
  write_file(path, "{");
  fs::resize_file(path, std::size_t{1} << 30);
}

const std::vector<std::string> kRepair = {"env", "pull", "--repair", "tool:1"};

const std::vector<Rot> kRots = {
    {"RecordIsEmpty", change_record([](std::string& text) { text.clear(); }), "absent"},
    {"RecordIsTruncated", change_record([](std::string& text) { text.resize(text.size() / 2); }),
     "absent"},
    {"RecordIsZeros", change_record([](std::string& text) { text.assign(text.size(), '\0'); }),
     "absent"},
    {"RecordOfAnotherVersion", edit_record([](json& record) { record["version"] = "2.0.0"; }),
     "absent"},
    {"RecordOfAnotherName", edit_record([](json& record) { record["name"] = "tool:2"; }), "absent"},
    {"RecordTwice", change_record([](std::string& text) { text += text; }), "absent"},
    {"RecordOfAGibibyte", in_place_of("environment.json", put_huge_file), "absent"},
    {"RecordIsAPipe", in_place_of("environment.json", put_pipe), "absent"},
    {"RecordIsASocket", in_place_of("environment.json", put_socket), "absent"},
    {"RecordIsALinkToItself", in_place_of("environment.json", put_loop), "absent"},
    {"RecordHasUnknownField", edit_record([](json& record) {
       record["more"] = {{"to", "come"}};
     }),
     "ok", true},
    {"RecordWithoutDigests",
     edit_record([](json& record) { record["artifacts"] = 7; }),
     "unverifiable",
     true,
     {"env", "pull", "--force", "tool:1"}},
    {"RecordWithInvalidDigest",
     edit_record([](json& record) { record["artifacts"]["vmlinux"]["digest"] = "sha256:xyz"; }),
     "unverifiable",
     true,
     {"env", "pull", "--force", "tool:1"}},
    {"RecordWithAnotherDigest", edit_record([](json& record) {
       record["artifacts"]["vmlinux"]["digest"] = record["artifacts"]["rootfs.ext4"]["digest"];
     }),
     "modified", true, kRepair},
    {"RecordWithLargestSize",
     edit_record([](json& record) { record["artifacts"]["vmlinux"]["size"] = UINT64_MAX; }),
     "modified", true, kRepair},
    {"KernelIsAFolder", in_place_of("vmlinux", put_folder), "missing"},
    {"KernelIsAPipe", in_place_of("vmlinux", put_pipe), "missing"},
    {"RootfsIsASocket", in_place_of("rootfs.ext4", put_socket), "missing"},
    {"RootfsIsADanglingLink", in_place_of("rootfs.ext4", put_dangling_link), "missing"},
    {"RootfsIsALinkToItself", in_place_of("rootfs.ext4", put_loop), "missing"},
    {"EverythingIsEmpty",
     [](const fs::path& install) {
       for (const fs::directory_entry& entry : fs::directory_iterator(install)) {
         fs::resize_file(entry.path(), 0);
       }
     },
     "absent"},
    {"ForeignFileBeside",
     [](const fs::path& install) { write_file(install / "notes/mine.txt", "mine"); }, "ok", true},
};

class DamagedInstallTest : public DamagedCacheTest, public ::testing::WithParamInterface<Rot> {
 protected:
  DamagedInstallTest() {
    pyro_ok({"env", "pull", "tool:1"});
    GetParam().spoil(install_dir());
  }
};

TEST_P(DamagedInstallTest, IsReportedAndReplacedByPull) {
  EXPECT_EQ(is_listed_as_installed(), GetParam().listed);
  EXPECT_EQ(verified(), GetParam().verified);
  pyro_ok(GetParam().cure);
  expect_sound();
}

TEST_P(DamagedInstallTest, IsPrunedUnlessInstalled) {
  const json pruned = pyro_json({"env", "prune"});
  EXPECT_EQ(pruned["count"], GetParam().listed ? 0 : 1) << pruned;
  EXPECT_EQ(fs::exists(install_dir()), GetParam().listed);
  EXPECT_EQ(is_listed_as_installed(), GetParam().listed);
  pyro_ok(GetParam().cure);
  expect_sound();
}

INSTANTIATE_TEST_SUITE_P(DamagedInstalls, DamagedInstallTest, ::testing::ValuesIn(kRots), row_name);

// In data, in a hole, and in the last byte of each file.
TEST_F(DamagedCacheTest, VerifyFindsOneFlippedBit) {
  pyro_ok({"env", "pull", "tool:1"});
  for (const auto& [name, bytes] :
       {std::pair("vmlinux", sample().kernel), std::pair("rootfs.ext4", sample().rootfs)}) {
    const int file = ::open((install_dir() / name).c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_GE(file, 0);
    for (const std::size_t at : {std::size_t{0}, bytes.size() / 3, bytes.size() - 1}) {
      const char right = bytes[at];
      for (const int bit : {0, 7}) {
        const char wrong = static_cast<char>(right ^ (1 << bit));
        ASSERT_EQ(::pwrite(file, &wrong, 1, static_cast<off_t>(at)), 1);
        EXPECT_EQ(verified(), "modified") << name << " at " << at << ", bit " << bit;
      }
      ASSERT_EQ(::pwrite(file, &right, 1, static_cast<off_t>(at)), 1);
    }
    ::close(file);
  }
  EXPECT_EQ(verified(), "ok");
}

// The cache's own folders.

struct Room {
  const char* name;
  std::function<void(const fs::path& cache)> spoil;
  /// Named by the pull's error; empty if the pull succeeds.
  const char* obstacle = "";

  friend void PrintTo(const Room& self, std::ostream* out) { *out << self.name; }
};

Spoil file_at(const char* name) {
  return [=](const fs::path& cache) { write_file(cache / name, "a file"); };
}

const std::vector<Room> kRooms = {
    {"LocksIsAFile", file_at("locks"), "locks"},
    {"StagingIsAFile", file_at("staging"), "staging"},
    {"PlatformIsAFile", file_at("linux-x86_64"), "linux-x86_64"},
    {"PartialIsAFile", file_at("partial")},
    {"LockIsAFolder",
     [](const fs::path& cache) { fs::create_directories(cache / "locks/tool_1-1.0.0.lock"); },
     "locks/tool_1-1.0.0.lock"},
    {"LockIsALink",
     [](const fs::path& cache) {
       fs::create_directories(cache / "locks");
       fs::create_symlink("../../precious", cache / "locks/tool_1-1.0.0.lock");
     },
     "locks/tool_1-1.0.0.lock"},
    {"LockIsAPipe",
     [](const fs::path& cache) {
       fs::create_directories(cache / "locks");
       put_pipe(cache / "locks/tool_1-1.0.0.lock");
     }},
    {"LockHoldsNonsense",
     [](const fs::path& cache) {
       write_file(cache / "locks/tool_1-1.0.0.lock", std::string(100'000, '9'));
     }},
    {"ForeignFiles",
     [](const fs::path& cache) {
       fs::create_directories(cache / "lost+found");
       fs::create_directories(cache / "linux-x86_64/lost+found");
       write_file(cache / "locks/mine", "mine");
       write_file(cache / "notes", "mine");
       put_pipe(cache / "linux-x86_64/pipe");
     }},
};

class SpoiledCacheTest : public DamagedCacheTest, public ::testing::WithParamInterface<Room> {};

TEST_P(SpoiledCacheTest, PullSucceedsOrNamesTheObstacle) {
  GetParam().spoil(cache());
  EXPECT_FALSE(is_listed_as_installed());
  EXPECT_EQ(verified(), "absent");
  const ProcessResult pulled = pyro({"env", "pull", "tool:1"});
  EXPECT_FALSE(fs::exists(home() / "precious"));
  const std::string obstacle = GetParam().obstacle;
  if (obstacle.empty()) {
    EXPECT_EQ(pulled.exit_code, 0) << pulled.err;
    expect_installed(sample());
    return;
  }
  EXPECT_EQ(pulled.exit_code, 6);
  expect_says(pulled.err, {"cannot install tool:1", (cache() / obstacle).string()});
  fs::remove_all(cache() / obstacle);
  pyro_ok({"env", "pull", "tool:1"});
  expect_sound();
}

INSTANTIATE_TEST_SUITE_P(Directories, SpoiledCacheTest, ::testing::ValuesIn(kRooms), row_name);

// Unreadable is not absent.

class UnreadableCacheTest : public DamagedCacheTest {
 protected:
  UnreadableCacheTest() { pyro_ok({"env", "pull", "tool:1"}); }
  ~UnreadableCacheTest() override { run({.argv = {"chmod", "-R", "u+rwX", home().string()}}); }

  /// Modes bind root, too.
  json without_privileges(std::vector<std::string> words, int exit_code) const {
    words.emplace_back("--json");
    Command command = this->command(words);
    const std::vector<std::string> drop{"setpriv", "--bounding-set=-dac_override,-dac_read_search",
                                        "--"};
    if (::geteuid() == 0) command.argv.insert(command.argv.begin(), drop.begin(), drop.end());
    const ProcessResult result = run(command);
    EXPECT_EQ(result.exit_code, exit_code) << result.out << result.err;
    return parse_json(result.out);
  }

  static void forbid(const fs::path& path) { fs::permissions(path, fs::perms(0)); }

  void expect_prune_fails_at(const std::string& name) const {
    const json pruned = without_privileges({"env", "prune"}, 6);
    EXPECT_EQ(pruned["count"], 0);
    ASSERT_EQ(pruned["failed"].size(), 1u) << pruned;
    EXPECT_EQ(pruned["failed"][0]["name"], name);
    expect_says(pruned["failed"][0]["error"], {"Permission denied"});
  }
};

TEST_F(UnreadableCacheTest, VerifyReportsUnreadableArtifact) {
  forbid(install_dir() / "rootfs.ext4");
  const json report = only_report(without_privileges({"env", "verify", "tool:1"}, 6));
  EXPECT_EQ(report["error"]["code"], "filesystem");
  expect_says(report["error"].dump(), {"rootfs.ext4", "Permission denied"});
  without_privileges({"env", "pull", "--repair", "tool:1"}, 0);
  expect_sound();
}

TEST_F(UnreadableCacheTest, VerifyAndPruneReportUnreadableInstall) {
  forbid(install_dir());
  const json report = only_report(without_privileges({"env", "verify", "tool:1"}, 6));
  EXPECT_EQ(report["error"]["code"], "filesystem");
  expect_says(report["error"].dump(), {install_dir().string(), "Permission denied"});
  expect_prune_fails_at("tool_1-1.0.0");
}

// The owners of the saved states are unknown then.
TEST_F(UnreadableCacheTest, PruneKeepsStatesOfUnreadableInstalls) {
  const fs::path memory = cache() / "prepared/tool_1/none/memory";
  write_file(memory, "saved");
  forbid(platform_dir());
  expect_prune_fails_at("linux-x86_64");
  EXPECT_TRUE(fs::exists(memory));
  fs::permissions(platform_dir(), fs::perms(0755));
  forbid(install_dir());
  expect_prune_fails_at("tool_1-1.0.0");
  EXPECT_TRUE(fs::exists(memory));
}

TEST_F(UnreadableCacheTest, PruneReportsUnreadableStaging) {
  forbid(cache() / "staging");
  expect_prune_fails_at("staging");
}

TEST_F(UnreadableCacheTest, PruneReportsUnreadableStagedEntry) {
  write_file(cache() / "staging/0123456789abcdef/candidate-0", "x");
  forbid(cache() / "staging/0123456789abcdef");
  expect_prune_fails_at("staging/0123456789abcdef");
}

TEST_F(UnreadableCacheTest, PruneKeepsUnreadablePartialFile) {
  write_file(cache() / "partial/sha256-00", "x");
  forbid(cache() / "partial/sha256-00");
  expect_prune_fails_at("partial/sha256-00");
  EXPECT_TRUE(fs::exists(cache() / "partial/sha256-00"));
}

}  // namespace
}  // namespace pyro::testing
