// Container images: installed as one file system, from every source, and refused.
#include <gmock/gmock.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "scenarios/registry_harness.h"
#include "support/skopeo.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;

json container_entry(json entry) {
  entry["kind"] = "container";
  return entry;
}

const json& config() {
  static const json config{
      {"Env", {"A=b"}}, {"Cmd", {"sh"}}, {"User", "app"}, {"Labels", {{"x", "y"}}}};
  return config;
}

/// Three layers, each compressed in another way. Docker's formats have no zstd.
ImageBuilder three_layers(Compression second = Compression::zstd) {
  ImageBuilder image;
  image
      .layer(TarBuilder().directory("etc").file("etc/old", "1").file("etc/both", "1").finish(),
             Compression::gzip)
      .layer(TarBuilder().whiteout("etc/old").file("etc/both", "2").finish(), second)
      .layer(TarBuilder().symlink("link", "etc").file("link/new", "3").finish(), Compression::none)
      .edit_config([](json& document) { document["config"] = config(); });
  return image;
}

class ContainerImageTest : public RegistryHarness {
 protected:
  /// Puts the image into the registry, and into the catalog as "tool:1".
  void offer_container(const Image& image) {
    registry_->put(kRepository, "1", image);
    use_catalog({container_entry(oci_entry(registry_->host("localhost")))});
  }

  fs::path container_dir(const std::string& name = "tool_1-1.0.0") const {
    return cache() / "containers" / name;
  }
  fs::path rootfs(const std::string& name = "tool_1-1.0.0") const {
    return container_dir(name) / "rootfs.ext4";
  }

  /// What debugfs says of the file system.
  std::string debugfs(const std::string& request) const {
    return run({.argv = {"/sbin/debugfs", "-R", request, rootfs().string()}}).out;
  }

  void expect_refused(const Image& image, int exit_code, const std::vector<std::string>& says) {
    offer_container(image);
    const ProcessResult result = pyro({"env", "pull", "tool:1"});
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    expect_says(result.err, says);
    EXPECT_FALSE(fs::exists(container_dir()));
    EXPECT_TRUE(!fs::exists(cache() / "staging") || fs::is_empty(cache() / "staging"));
  }
};

TEST_F(ContainerImageTest, InstallsLayersAsOneFileSystem) {
  offer_container(three_layers().build());
  EXPECT_EQ(pyro_ok({"env", "pull", "tool:1"}).out, container_dir().string() + "\n");
  const auto check = run({.argv = {"/sbin/e2fsck", "-fn", rootfs().string()}});
  EXPECT_EQ(check.exit_code, 0) << check.out;
  EXPECT_THAT(debugfs("cat /etc/both"), "2");
  EXPECT_THAT(debugfs("cat /etc/new"), "3");
  EXPECT_THAT(debugfs("cat /etc/old"), "");
  const json record = parse_json(read_file(container_dir() / "environment.json"));
  EXPECT_EQ(record["kind"], "container");
  EXPECT_EQ(record["config"], (json{{"Env", {"A=b"}}, {"Cmd", {"sh"}}, {"User", "app"}}));
  EXPECT_EQ(record["artifacts"].size(), 1U);
}

TEST_F(ContainerImageTest, SecondPullAsksNobody) {
  offer_container(three_layers().build());
  pyro_ok({"env", "pull", "tool:1"});
  const std::size_t before = registry_->requests().size();
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(registry_->requests().size(), before);
}

TEST_F(ContainerImageTest, IsListedVerifiedCountedAndRemoved) {
  offer_container(three_layers().build());
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_TRUE(pyro_json({"env", "inspect", "tool:1", "--json"})["installed"]);
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1", "--json"})[0]["status"], "ok");
  EXPECT_EQ(pyro_json({"env", "du", "--json"})["environments"].size(), 1U);
  EXPECT_EQ(pyro_json({"env", "prune", "--json"})["count"], 0);
  fs::resize_file(rootfs(), fs::file_size(rootfs()) - 4096);
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1", "--json"}, 5)[0]["status"], "modified");
  pyro_ok({"env", "pull", "--repair", "tool:1"});
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1", "--json"})[0]["status"], "ok");
  pyro_ok({"env", "remove", "tool:1"});
  EXPECT_FALSE(fs::exists(container_dir()));
}

TEST_F(ContainerImageTest, PruneRemovesInstallOfUnknownName) {
  offer_container(three_layers().build());
  pyro_ok({"env", "pull", "tool:1"});
  use_catalog({});
  const json report = pyro_json({"env", "prune", "--json"});
  EXPECT_EQ(report["deleted_environment_dirs"], json{"containers/tool_1-1.0.0"});
  EXPECT_FALSE(fs::exists(container_dir()));
}

TEST_F(ContainerImageTest, ReferenceInPlaceOfNameIsAddedOnFirstUse) {
  registry_->put(kRepository, "1", three_layers().build());
  const std::string name = registry_->host("localhost") + "/" + kRepository + ":1";
  EXPECT_EQ(pyro({"env", "inspect", name}).exit_code, 3) << "a question adds nothing";
  const json pulled = pyro_json({"env", "pull", "docker://" + name, "--json"});
  EXPECT_EQ(pulled["name"], name);
  const fs::path directory = pulled["install_dir"].get<std::string>();
  EXPECT_EQ(directory.parent_path(), cache() / "containers");
  EXPECT_THAT(directory.filename().string(), ::testing::StartsWith("tool-"));
  EXPECT_TRUE(pyro_json({"env", "inspect", name, "--json"})["installed"]);
  EXPECT_THAT(pyro_ok({"env", "list", "--installed"}).out, HasSubstr(name));
  const std::size_t before = registry_->requests().size();
  pyro_ok({"env", "pull", name});
  EXPECT_EQ(registry_->requests().size(), before);
  pyro_ok({"env", "remove", name});
  EXPECT_FALSE(fs::exists(directory));
}

TEST_F(ContainerImageTest, ShortNamesAndPathsAreNoNames) {
  const struct {
    const char* name;
    std::vector<std::string> says;
  } rows[] = {
      {"team/app:1", {"does not say which registry it is in", "docker.io/team/app:1"}},
      {"./image.tar", {"'./image.tar' is not a name", "pyro env add NAME ./image.tar"}},
      {"oci-archive:/tmp/image.tar", {"is not a name", "--container"}},
  };
  for (const auto& row : rows) {
    const ProcessResult result = pyro({"env", "pull", row.name});
    EXPECT_EQ(result.exit_code, 2) << row.name;
    expect_says(result.err, row.says);
  }
}

TEST_F(ContainerImageTest, NewImageIsFoundAndReplacesTheInstall) {
  const auto with = [](const char* content) {
    return ImageBuilder().layer(TarBuilder().file("etc/it", content).finish()).build();
  };
  registry_->put(kRepository, "1", with("old"));
  const std::string name = registry_->host("localhost") + "/" + kRepository + ":1";
  const std::string digest = with("old").digest();
  const std::string pinned = registry_->host("localhost") + "/" + kRepository + "@" + digest;
  use_catalog({container_entry(oci_entry(registry_->host("localhost")))});
  pyro_ok({"env", "pull", "tool:1", name, pinned});
  registry_->put(kRepository, "1", with("new"));
  registry_->forget_requests();
  const json updates = pyro_json({"env", "list", "--outdated"})["environments"];
  ASSERT_EQ(updates.size(), 3U);
  for (const json& update : updates) {
    EXPECT_EQ(update["error"], nullptr) << update;
    EXPECT_EQ(update["kind"], "container");
    EXPECT_EQ(update["installed_digest"], digest);
    const bool is_pinned = update["name"] == pinned;
    EXPECT_EQ(update["newer_available"], !is_pinned) << update;
    EXPECT_EQ(update["newest_digest"], is_pinned ? digest : with("new").digest());
  }
  EXPECT_EQ(registry_->count(RequestKind::blob), 0);
  pyro_ok({"env", "pull", "tool:1"});
  EXPECT_EQ(debugfs("cat /etc/it"), "old") << "what is installed stays";
  pyro_ok({"env", "pull", "--force", "tool:1"});
  EXPECT_EQ(debugfs("cat /etc/it"), "new");
}

TEST_F(ContainerImageTest, EverySourceGivesTheSameBytes) {
  offer_container(three_layers(Compression::gzip).build());
  pyro_ok({"env", "pull", "tool:1"});
  const std::string expected = read_file(rootfs());
  write_oci_layout(three_layers(Compression::gzip).build(), dir_ / "layout", "app");
  const std::string from = "oci:" + (dir_ / "layout").string() + ":app";
  const std::string archive = "oci-archive:" + (dir_ / "oci.tar").string();
  const std::string docker = "docker-archive:" + (dir_ / "docker.tar").string();
  skopeo_copy(from, archive);
  skopeo_copy(from, docker + ":team/app:1");
  pyro_ok({"env", "add", "layout", "--container", from});
  pyro_ok({"env", "add", "archive", "--container", archive});
  pyro_ok({"env", "add", "docker", "--container", docker});
  write_file(dir_ / "docker.tar.gz", compress(read_file(dir_ / "docker.tar"), Compression::gzip));
  pyro_ok({"env", "add", "packed", "--container", (dir_ / "docker.tar.gz").string()});
  for (const char* const name : {"layout", "archive", "docker", "packed"}) {
    pyro_ok({"env", "pull", name});
    EXPECT_TRUE(holds(rootfs(std::string(name) + "-1.0.0"), expected)) << name;
  }
}

TEST_F(ContainerImageTest, InstallsRootFileSystemFromTar) {
  const std::string tar = TarBuilder().directory("etc").file("etc/a", "1").finish();
  write_file(dir_ / "rootfs.tar.zst", compress(tar, Compression::zstd));
  pyro_ok({"env", "add", "mine", "--container", (dir_ / "rootfs.tar.zst").string()});
  EXPECT_THAT(pyro_ok({"-v", "env", "pull", "mine"}).err, ::testing::Not(HasSubstr("unpacking")))
      << "it is read once";
  EXPECT_EQ(run({.argv = {"/sbin/debugfs", "-R", "cat /etc/a", rootfs("mine-1.0.0").string()}}).out,
            "1");
}

TEST_F(ContainerImageTest, RefusesDirectory) {
  fs::create_directories(dir_ / "tree/etc");
  write_file(dir_ / "tree/vmlinux", sample().kernel);
  write_file(dir_ / "tree/rootfs.ext4", sample().rootfs);
  pyro_ok({"env", "add", "mine", "--container", (dir_ / "tree").string()});
  const ProcessResult result = pyro({"env", "pull", "mine"});
  EXPECT_EQ(result.exit_code, 1);
  expect_says(result.err, {"is a directory, and no image layout", "comes as a tar"});
}

TEST_F(ContainerImageTest, BaseIsForContainers) {
  const ProcessResult result =
      pyro({"env", "add", "mine", "--base", "debian:12", "registry.example/a/b:1"});
  EXPECT_EQ(result.exit_code, 2);
  expect_says(result.err, {"'--base' is for container images"});
}

TEST_F(ContainerImageTest, RefusesConfigThatDoesNotFit) {
  expect_refused(
      three_layers()
          .edit_config([](json& document) { document["rootfs"]["diff_ids"].erase(0); })
          .build(),
      5, {"the image's config cannot be used", "it lists 2 layers, and the manifest has 3"});
  expect_refused(
      three_layers().edit_config([](json& document) { document["config"]["User"] = 0; }).build(), 5,
      {"its field 'User' holds no text"});
}

TEST_F(ContainerImageTest, RefusesConfigLargerThan4MiB) {
  expect_refused(three_layers()
                     .edit_config([](json& document) {
                       document["comment"] = std::string(std::size_t{4} << 20, 'x');
                     })
                     .build(),
                 4, {"the answer is longer than 4194304 bytes"});
}

TEST_F(ContainerImageTest, RefusesImageForAnotherPlatform) {
  expect_refused(three_layers().platform({.architecture = "arm64"}).build(), 4,
                 {"has no image for linux/amd64", "there is only linux/arm64"});
}

TEST_F(ContainerImageTest, RefusesOtherKindsOfContent) {
  const std::string layer = compress(TarBuilder().file("a", "1").finish(), Compression::gzip);
  const struct {
    const char* type;
    std::vector<std::string> says;
  } rows[] = {
      {"application/vnd.cncf.helm.chart.content.v1.tar+gzip",
       {"it is a Helm chart, not a container image"}},
      {"application/vnd.oci.image.layer.v1.tar+gzip+encrypted", {"is encrypted"}},
      {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", {"foreign layer"}},
      {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", {"foreign layer"}},
  };
  for (const auto& row : rows) {
    expect_refused(ImageBuilder().raw_layer(layer, row.type).build(), 5, row.says);
  }
}

TEST_F(ContainerImageTest, RefusesArtifactWithoutConfig) {
  expect_refused(ImageBuilder()
                     .layer(TarBuilder().file("a", "1").finish())
                     .edit_manifest([](json& manifest) {
                       manifest["config"]["mediaType"] = "application/vnd.oci.empty.v1+json";
                     })
                     .build(),
                 5, {"it is not a container image: it has no config"});
}

TEST_F(ContainerImageTest, RefusesEnvironmentAndSaysSo) {
  expect_refused(image_of(sample()), 5,
                 {"it is an environment, not a container image", "without --container"});
}

TEST_F(ContainerImageTest, EnvironmentsPullOfContainerImageSaysHow) {
  registry_->put(kRepository, "1", three_layers().build());
  use_catalog({oci_entry(registry_->host("localhost"))});
  const ProcessResult result = pyro({"env", "pull", "tool:1"});
  EXPECT_EQ(result.exit_code, 5);
  expect_says(result.err,
              {"environment archive did not contain vmlinux", "env add", "--container"});
}

struct HostileLayer {
  const char* name;
  std::function<std::string()> tar;
  std::vector<std::string> says;
};

class HostileLayerTest : public ContainerImageTest,
                         public ::testing::WithParamInterface<HostileLayer> {};

TEST_P(HostileLayerTest, IsRefusedWithLayerAndPath) {
  expect_refused(
      ImageBuilder().layer(TarBuilder().directory("bin").finish()).layer(GetParam().tar()).build(),
      5, GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(
    Layers, HostileLayerTest,
    ::testing::Values(
        HostileLayer{
            "LinkToMissingFile",
            [] { return TarBuilder().hardlink("bin/a", "bin/gone").finish(); },
            {"layer 2 of 2", "cannot unpack 'bin/a'", "hard link to 'bin/gone', which is missing"}},
        HostileLayer{"LinkToDirectory",
                     [] { return TarBuilder().hardlink("a", "bin").finish(); },
                     {"cannot unpack 'a'", "hard link to a directory"}},
        HostileLayer{"DotDot",
                     [] { return TarBuilder().file("bin/../../x", "1").finish(); },
                     {"cannot unpack 'bin/../../x'"}},
        HostileLayer{"WhiteoutWithoutName",
                     [] { return TarBuilder().file("bin/.wh.", "").finish(); },
                     {"cannot unpack 'bin/.wh.'"}},
        HostileLayer{"WhiteoutOfDirectoryType",
                     [] { return TarBuilder().directory("bin/.wh.a").finish(); },
                     {"cannot unpack 'bin/.wh.a"}},
        HostileLayer{
            "LoopOfLinks",
            [] {
              return TarBuilder().symlink("a", "b").symlink("b", "a").file("a/x", "1").finish();
            },
            {"cannot unpack 'a/x'"}},
        HostileLayer{"LargeAttribute",
                     [] {
                       return TarBuilder()
                           .pax({{"SCHILY.xattr.user.large", std::string(5000, 'x')}})
                           .file("a", "1")
                           .finish();
                     },
                     {"attribute"}},
        HostileLayer{
            "CutShort",
            [] { return TarBuilder().file("a", std::string(9000, 'x')).finish().substr(0, 5000); },
            {"layer 2 of 2"}},
        HostileLayer{"SomethingBehindItsEnd",
                     [] { return TarBuilder().file("a", "1").finish() + std::string(1024, 'x'); },
                     {"something follows its end"}}),
    row_name);

}  // namespace
}  // namespace pyro::testing
