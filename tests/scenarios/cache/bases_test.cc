// The bases of container images in the cache: kept, shown, verified, exported and imported.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "scenarios/harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using Words = std::vector<std::string>;

/// Two environments, "base:1" and "other:1", and container images that boot their kernels.
class BasesTest : public PyroHarness {
 protected:
  BasesTest() {
    for (const char* const name : {"base:1", "other:1"}) {
      write_file(archive_of(name), TarBuilder()
                                       .file("vmlinux", sample().kernel)
                                       .file("rootfs.ext4", sample().rootfs)
                                       .file("initrd.img", name)
                                       .finish());
    }
    use_catalog({archive_entry(archive_of("base:1"), "base:1"),
                 archive_entry(archive_of("other:1"), "other:1")});
    pyro_ok({"env", "pull", "base:1"});
  }

  std::string archive_of(const std::string& name) const { return (dir_ / name).string() + ".tar"; }

  /// Adds and installs an image whose only file has `content`.
  void install_container(const std::string& name, const std::string& content,
                         const Words& options = {}) const {
    write_oci_layout(ImageBuilder()
                         .layer(TarBuilder().file("etc/content", content).finish())
                         .edit_config([&](json& document) {
                           document["config"] = {{"Cmd", {name}}, {"Env", {"A=b"}}};
                         })
                         .build(),
                     dir_ / ("layout-" + name), "it");
    Words words{"env", "add", name, "--container", "--force"};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back("oci:" + (dir_ / ("layout-" + name)).string() + ":it");
    pyro_ok(words);
    pyro_ok({"env", "pull", name});
  }

  fs::path container_dir(const std::string& name) const {
    return cache() / "containers" / (name + "-1.0.0");
  }
  json container_record(const std::string& name) const {
    return parse_json(read_file(container_dir(name) / "environment.json"));
  }

  /// `install` is a directory's name.
  void use(const std::string& install, int days_ago) const {
    const fs::path mark = cache() / "used" / install;
    write_file(mark, "");
    fs::last_write_time(mark, fs::file_time_type::clock::now() - std::chrono::hours(24 * days_ago));
  }
  /// As if it had been installed long ago.
  void age(const fs::path& directory) const {
    json record = parse_json(read_file(directory / "environment.json"));
    record["installed_at"] = std::time(nullptr) - 100 * 86400;
    write_file(directory / "environment.json", reference_json(record));
  }

  json pruned(Words options) const {
    options.insert(options.begin(), {"env", "prune"});
    return pyro_json(options);
  }
};

TEST_F(BasesTest, RecordNamesBaseAndItsDigests) {
  install_container("app", "1");
  const json artifacts = record("base:1")["artifacts"];
  EXPECT_EQ(container_record("app")["base"],
            (json{{"name", "base:1"},
                  {"digests",
                   {{"vmlinux", artifacts["vmlinux"]["digest"]},
                    {"initrd.img", artifacts["initrd.img"]["digest"]}}}}));
  pyro_ok({"env", "remove", "base:1"});
  pyro_ok({"env", "pull", "--force", "app"});
  EXPECT_FALSE(container_record("app").contains("base"));
}

TEST_F(BasesTest, InspectAndDuShowBase) {
  install_container("app", "1");
  install_container("mine", "1", {"--base", "other:1"});
  EXPECT_EQ(pyro_json({"env", "inspect", "app"})["base"], "base:1");
  EXPECT_EQ(pyro_json({"env", "inspect", "mine"})["base"], "other:1") << "not installed";
  EXPECT_EQ(pyro_json({"env", "inspect", "mine"}, 0, {{"PYRO_BASE", "base:1"}})["base"], "other:1");
  EXPECT_FALSE(pyro_json({"env", "inspect", "base:1"}).contains("base"));
  EXPECT_THAT(pyro_ok({"env", "inspect", "app"}).out, HasSubstr("base:1"));
  const json usage = pyro_json({"env", "du"})["environments"];
  ASSERT_EQ(usage.size(), 3U);
  EXPECT_FALSE(usage[0].contains("base"));
  EXPECT_EQ(usage[1]["name"], "app");
  EXPECT_EQ(usage[1]["base"], "base:1");
  EXPECT_THAT(pyro_ok({"env", "du"}).out, HasSubstr("BASE"));
  pyro_ok({"env", "remove", "base:1"});
  EXPECT_EQ(pyro_json({"env", "inspect", "app"})["base"], nullptr);
  EXPECT_EQ(pyro_json({"env", "inspect", "app"}, 0, {{"PYRO_BASE", "base:1"}})["base"], "base:1");
}

TEST_F(BasesTest, PruneKeepsBaseOfContainerThatStays) {
  install_container("app", "1");
  pyro_ok({"env", "pull", "other:1"});
  for (const char* const name : {"base:1", "other:1"}) age(install_dir(name));
  use("base_1-1.0.0", 40);
  use("other_1-1.0.0", 50);
  const json rehearsal = pruned({"--older-than", "30d", "--dry-run"});
  json report = pruned({"--older-than", "30d"});
  EXPECT_EQ(report["deleted_environment_dirs"], json{"other_1-1.0.0"});
  EXPECT_EQ(report["skipped_bases"], json{"base_1-1.0.0"});
  EXPECT_EQ(rehearsal["skipped_bases"], report["skipped_bases"]);
  EXPECT_THAT(pyro_ok({"env", "prune", "--older-than", "30d"}).out,
              HasSubstr("kept base_1-1.0.0: container images boot its kernel\n"));
}

TEST_F(BasesTest, PruneRemovesBaseBehindItsContainers) {
  install_container("app", "1");
  age(install_dir("base:1"));
  use("base_1-1.0.0", 40);
  use("app-1.0.0", 20);
  age(container_dir("app"));
  const json report = pruned({"--keep-storage", "1KiB"});
  EXPECT_EQ(report["deleted_environment_dirs"], (json{"base_1-1.0.0", "containers/app-1.0.0"}));
  EXPECT_FALSE(report.contains("skipped_bases"));
}

TEST_F(BasesTest, PruneKeepsRecordedBaseOfContainerWhoseCatalogIsNotLoaded) {
  install_container("app", "1");
  const fs::path user = catalog_file().parent_path() / "user.json";
  fs::rename(user, dir_ / "user.json");
  const json report = pruned({"--all"});
  EXPECT_EQ(report["skipped_other_catalog"], json{"containers/app-1.0.0"});
  EXPECT_EQ(report["skipped_bases"], json{"base_1-1.0.0"});
  EXPECT_EQ(pruned({"--all", "--unknown"})["count"], 2);
}

TEST_F(BasesTest, RemovalOfLastKernelIsToldInWarning) {
  install_container("app", "1");
  pyro_ok({"env", "pull", "other:1"});
  EXPECT_EQ(pyro_ok({"env", "remove", "other:1"}).err, "");
  const ProcessResult removed = pyro_ok({"env", "remove", "base:1"});
  EXPECT_THAT(removed.out, HasSubstr("removed base_1-1.0.0"));
  expect_says(removed.err, {"no kernel is left for the container images app", "--base"});
}

TEST_F(BasesTest, VerifyReadsKernelOfBase) {
  install_container("app", "1");
  json report = pyro_json({"env", "verify", "app"})[0];
  EXPECT_EQ(report["status"], "ok");
  ASSERT_EQ(report["artifacts"].size(), 3U);
  EXPECT_EQ(report["artifacts"][1]["name"], "base/initrd.img");
  EXPECT_EQ(report["artifacts"][2]["name"], "base/vmlinux");
  std::string kernel = sample().kernel;
  kernel.back() ^= 1;
  write_file(install_dir("base:1") / "vmlinux", kernel);
  report = pyro_json({"env", "verify", "app"}, 5)[0];
  EXPECT_EQ(report["status"], "modified");
  EXPECT_EQ(report["artifacts"][0]["status"], "ok");
  expect_says(pyro({"env", "verify", "app"}).err,
              {"the base of environment 'app', 'base:1', is not as it was installed",
               "'pyro env pull --repair base:1'"});
  pyro_ok({"env", "pull", "--repair", "base:1"});
  EXPECT_EQ(pyro_json({"env", "verify", "app"})[0]["status"], "ok");
}

TEST_F(BasesTest, DoctorNamesKernelOfContainers) {
  const auto kernel = [&](const Words& options) {
    Words words{"doctor", "--json"};
    words.insert(words.end(), options.begin(), options.end());
    const json document = parse_json(pyro(words).out);
    for (const json& finding : document["findings"]) {
      if (finding["name"] == "kernel") return finding;
    }
    return json();
  };
  EXPECT_EQ(kernel({})["status"], "ok");
  EXPECT_EQ(kernel({})["message"], "container images boot that of base:1");
  EXPECT_EQ(kernel({"--base", "other:1"})["status"], "absent");
  EXPECT_EQ(kernel({"--base", "other:1"})["remedy"], "pyro env pull other:1");
  EXPECT_EQ(kernel({"--base", "none:1"})["status"], "warning");
  pyro_ok({"env", "remove", "base:1"});
  EXPECT_EQ(kernel({})["status"], "absent");
  EXPECT_THAT(kernel({})["remedy"].get<std::string>(), HasSubstr("pyro-kernel"));
}

/// On another machine: another cache, another catalog, no network.
class ContainerExportTest : public BasesTest {
 protected:
  ContainerExportTest() {
    install_container("app", "1");
    install_container("web", "2");
  }

  std::string file() const { return (dir_ / "export.tar").string(); }
  fs::path there() const { return dir_ / "there"; }
  Variables variables_there() const {
    return {{"XDG_CONFIG_HOME", (there() / "config").string()},
            {"PYRO_ENVIRONMENT_CACHE_DIR", (there() / "cache").string()},
            {"PYRO_OFFLINE", "1"}};
  }
  ProcessResult pyro_there(const Words& words) const { return pyro_ok(words, variables_there()); }
  json json_there(const Words& words) const { return pyro_json(words, 0, variables_there()); }
  fs::path container_there(const std::string& name) const {
    return there() / "cache/containers" / (name + "-1.0.0");
  }
  bool has_base_there() const { return fs::exists(there() / "cache/linux-x86_64/base_1-1.0.0"); }
};

TEST_F(ContainerExportTest, BaseTravelsOnceWithAllOfItsContainers) {
  const json exported = pyro_json({"env", "export", "web", "app", "-o", file()});
  ASSERT_EQ(exported["environments"].size(), 3U);
  EXPECT_EQ(exported["environments"][0]["name"], "app");
  EXPECT_EQ(exported["environments"][1]["name"], "base:1");
  EXPECT_EQ(exported["environments"][2]["name"], "web");
  EXPECT_EQ(exported["environments"][0]["verified"], true);
  pyro_there({"env", "import", file()});
  for (const char* const name : {"app", "web"}) {
    EXPECT_TRUE(holds(container_there(name) / "rootfs.ext4",
                      read_file(container_dir(name) / "rootfs.ext4")));
    const json record = parse_json(read_file(container_there(name) / "environment.json"));
    EXPECT_EQ(record["config"], container_record(name)["config"]);
    EXPECT_EQ(record["artifacts"], container_record(name)["artifacts"]);
    EXPECT_EQ(record["base"], container_record(name)["base"]);
    EXPECT_EQ(json_there({"env", "inspect", name})["base"], "base:1");
    EXPECT_EQ(json_there({"env", "verify", name})[0]["status"], "ok");
  }
  EXPECT_TRUE(has_base_there());
  EXPECT_EQ(json_there({"env", "prune"})["count"], 0);
}

TEST_F(ContainerExportTest, ImportOfOneContainerBringsItsBase) {
  pyro_ok({"env", "export", "web", "app", "-o", file()});
  const ProcessResult imported = pyro_there({"env", "import", file(), "app"});
  EXPECT_EQ(imported.out, container_there("app").string() + "\n");
  expect_says(imported.err, {"base:1: added to", "app: added to"});
  EXPECT_TRUE(has_base_there());
  EXPECT_FALSE(fs::exists(container_there("web")));
  const auto before = snapshot(there() / "cache");
  expect_says(pyro_there({"env", "import", file(), "app"}).err, {"app: installed already"});
  EXPECT_EQ(snapshot(there() / "cache"), before);
  pyro_there({"env", "import", file(), "web", "--as", "mine"});
  EXPECT_EQ(json_there({"env", "inspect", "mine"})["base"], "base:1");
}

TEST_F(ContainerExportTest, InstalledBaseIsLeftAlone) {
  pyro_ok({"env", "export", "app", "-o", file()});
  pyro_there({"env", "import", file(), "base:1"});
  const auto before = snapshot(there() / "cache/linux-x86_64");
  pyro_there({"env", "import", file(), "app", "--force"});
  EXPECT_EQ(snapshot(there() / "cache/linux-x86_64"), before);
}

TEST_F(ContainerExportTest, UnusableBaseStopsImportBeforeContainer) {
  pyro_ok({"env", "export", "app", "-o", file()});
  json pinned = archive_entry("/is/not/there.tar", "base:1");
  pinned["source_sha256"] = std::string(64, 'a');
  write_catalog(there() / "config/pyro/catalog.d/test.json", {pinned});
  const ProcessResult refused = pyro({"env", "import", file(), "app"}, variables_there());
  EXPECT_EQ(refused.exit_code, 5);
  expect_says(refused.err, {"cannot import 'base:1', whose kernel it boots", "pins the archive"});
  EXPECT_FALSE(fs::exists(container_there("app")));
}

TEST_F(ContainerExportTest, SameInstallsGiveTheSameBytes) {
  pyro_ok({"env", "export", "web", "app", "-o", file()});
  const ProcessResult piped = pyro_ok({"env", "export", "base:1", "app", "web", "-o", "-"});
  EXPECT_TRUE(holds(file(), piped.out));
}

TEST_F(ContainerExportTest, EveryCompressionIsRead) {
  for (const char* const kind : {"gzip", "none"}) {
    pyro_ok({"env", "export", "app", "-o", file(), "--compress", kind});
    pyro_there({"env", "import", file(), "app", "--force"});
    EXPECT_TRUE(holds(container_there("app") / "rootfs.ext4",
                      read_file(container_dir("app") / "rootfs.ext4")));
  }
}

TEST_F(ContainerExportTest, WithoutBaseGoesAloneAndSaysSo) {
  const auto warning = [&](const Variables& variables) {
    return pyro_ok({"env", "export", "app", "-o", file()}, variables).err;
  };
  EXPECT_THAT(warning({{"PYRO_BASE", "other:1"}}),
              HasSubstr("no kernel goes along with 'app': its base 'other:1' is not installed"));
  EXPECT_THAT(warning({}), Not(HasSubstr("no kernel")));
  pyro_ok({"env", "remove", "base:1"});
  EXPECT_THAT(warning({}), HasSubstr("no kernel goes along with 'app': there is none"));
  pyro_there({"env", "import", file()});
  EXPECT_EQ(json_there({"env", "inspect", "app"})["base"], nullptr);
}

TEST_F(ContainerExportTest, ModifiedContainerIsRefused) {
  std::string rootfs = read_file(container_dir("app") / "rootfs.ext4");
  rootfs[5000] ^= 1;
  write_file(container_dir("app") / "rootfs.ext4", rootfs);
  const ProcessResult result = pyro({"env", "export", "app", "-o", file()});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err, {"environment 'app' is not as it was installed"});
  EXPECT_FALSE(fs::exists(file()));
}

// It is an image like others, wherever it was copied.
TEST_F(ContainerExportTest, ExportedImageCanBeAddedAndPulled) {
  pyro_ok({"env", "export", "app", "-o", file()});
  pyro_ok({"env", "add", "again", "--container", "oci-archive:" + file() + ":app"});
  pyro_ok({"env", "pull", "again"});
  EXPECT_TRUE(holds(container_dir("again") / "rootfs.ext4",
                    read_file(container_dir("app") / "rootfs.ext4")));
  EXPECT_EQ(container_record("again")["config"], container_record("app")["config"]);
}

}  // namespace
}  // namespace pyro::testing
