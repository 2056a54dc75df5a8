// Environments from `docker save` archives and from compressed image archives, well-formed and
// hostile.
#include <gtest/gtest.h>

#include <filesystem>

#include "scenarios/hostile_harness.h"
#include "support/artifacts.h"
#include "support/hash.h"
#include "support/skopeo.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Words = std::vector<std::string>;

/// An image as `docker save` wrote it until version 24: a folder for each layer, a link to the
/// first where a layer is there twice.
struct SavedImage {
  Words layers;  ///< Tars.
  json tags = json::array({"team/tool:1"});
  std::string architecture = "amd64";
  JsonEdit edit_config = {};
  JsonEdit edit_manifest = {};                    ///< Of the image's entry.
  std::function<void(TarBuilder&)> add = {};      ///< In front of the layers.
  std::string (*store)(const std::string&) = {};  ///< How a layer's bytes lie in the archive.

  std::string id() const { return sha256_digest(config()).substr(7); }
  static std::string name_of(const std::string& layer) {
    return hex(sha256("chain of " + layer)) + "/layer.tar";
  }

  std::string config() const {
    json config = {{"os", "linux"},
                   {"architecture", architecture},
                   {"rootfs", {{"type", "layers"}, {"diff_ids", json::array()}}}};
    for (const std::string& layer : layers) {
      config["rootfs"]["diff_ids"].push_back(sha256_digest(layer));
    }
    if (edit_config) edit_config(config);
    return config.dump();
  }

  std::string tar() const {
    TarBuilder tar;
    if (add) add(tar);
    json image = {{"Config", id() + ".json"}, {"RepoTags", tags}, {"Layers", json::array()}};
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const bool is_again = i > 0 && layers[i] == layers[i - 1];
      const std::string name = is_again ? "again/layer.tar" : name_of(layers[i]);
      image["Layers"].push_back(name);
      if (is_again) {
        tar.symlink(name, "../" + name_of(layers[i]));
      } else {
        tar.file(name, store != nullptr ? store(layers[i]) : layers[i]);
      }
    }
    if (edit_manifest) edit_manifest(image);
    return tar.file(id() + ".json", config())
        .file("manifest.json", json::array({image}).dump())
        .file("repositories", "{}")
        .finish();
  }
};

SavedImage saved(const Artifacts& artifacts = sample()) {
  return {.layers = {TarBuilder().file("boot/vmlinux", artifacts.kernel).finish(),
                     TarBuilder().file("rootfs.ext4", artifacts.rootfs).finish()}};
}

class DockerArchives : public HostileHarness {
 protected:
  std::string file(const std::string& name = "saved.tar") const { return (dir_ / name).string(); }

  json added_source(const std::string& name) const {
    const json catalog = parse_json(read_file(home() / ".config/pyro/catalog.d/user.json"));
    for (const json& entry : catalog["environments"]) {
      if (entry["name"] == name) return entry["source_url"];
    }
    return nullptr;
  }

  void expect_pulled(const std::string& name, const Artifacts& artifacts = sample()) {
    pyro_ok({"env", "pull", "--offline", name});
    expect_installed(artifacts, name);
    for (const std::string& line : cache_state())
      EXPECT_FALSE(line.starts_with("staging/")) << line;
  }
};

// --- accepted archives ---

TEST_F(DockerArchives, InstallsArchiveOfOldLayout) {
  write_file(file(), saved().tar());
  pyro_ok({"env", "add", "a", "docker-archive:saved.tar"});
  pyro_ok({"env", "add", "b", "./saved.tar"});
  pyro_ok({"env", "add", "c", "docker-archive:" + file() + ":team/tool:1"});
  EXPECT_EQ(added_source("a"), "docker-archive:" + file());
  EXPECT_EQ(added_source("b"), "docker-archive:" + file());
  for (const char* name : {"a", "b", "c"}) expect_pulled(name);
  expect_says(record("a")["source"], {"docker-archive:" + file() + "@sha256:"});
  EXPECT_EQ(record("a")["source_digest"], record("c")["source_digest"]);
}

TEST_F(DockerArchives, InstallsImageWithRepeatedLayer) {
  SavedImage image = saved();
  image.layers.insert(image.layers.begin(), 2, TarBuilder().file("etc/motd", "hello").finish());
  write_file(file(), image.tar());
  pyro_ok({"env", "add", "a", "./saved.tar"});
  expect_pulled("a");
}

// An image layout, and a manifest.json beside it.
TEST_F(DockerArchives, InstallsArchiveOfNewLayout) {
  const Image image = ImageBuilder()
                          .layer(saved().layers[0], Compression::none)
                          .layer(saved().layers[1], Compression::gzip)
                          .build();
  write_oci_layout(image, dir_ / "layout", "1");
  const json manifest = parse_json(image.root.bytes);
  const auto blob = [](const json& descriptor) {
    return "blobs/sha256/" + descriptor["digest"].get<std::string>().substr(7);
  };
  const json layers = {blob(manifest["layers"][0]), blob(manifest["layers"][1])};
  write_file(dir_ / "layout/manifest.json",
             json::array({{{"Config", blob(manifest["config"])},
                           {"RepoTags", {"team/tool:1", "team/tool:latest"}},
                           {"Layers", layers}}})
                 .dump());
  run_checked({.argv = {"tar", "-cf", file(), "-C", file("layout"), "."}});
  pyro_ok({"env", "add", "a", "./saved.tar"});
  pyro_ok({"env", "add", "b", "docker-archive:saved.tar"});
  pyro_ok({"env", "add", "c", "docker-archive:saved.tar:team/tool:latest"});
  pyro_ok({"env", "add", "d", "oci-archive:saved.tar:1"});
  EXPECT_EQ(added_source("a"), "oci-archive:" + file());
  for (const char* name : {"a", "b", "c", "d"}) expect_pulled(name);
  fs::remove(dir_ / "layout/oci-layout");
  run_checked({.argv = {"tar", "-cf", file(), "-C", file("layout"), "."}});
  pyro_ok({"env", "pull", "--force", "b"});
}

TEST_F(DockerArchives, InstallsArchiveWrittenBySkopeo) {
  write_oci_layout(image_of(sample()), dir_ / "layout", "1");
  skopeo_copy("oci:" + file("layout") + ":1", "docker-archive:" + file() + ":team/tool:1");
  pyro_ok({"env", "add", "a", "./saved.tar"});
  expect_pulled("a");
}

TEST_F(DockerArchives, SeveralImagesRequireAReference) {
  write_file(file(), saved().tar());
  SavedImage second = saved(other_artifacts(2));
  second.tags = {"team/tool:2"};
  write_file(file("two.tar"), second.tar());
  fs::create_directory(dir_ / "both");
  json images = json::array();
  for (const char* name : {"saved.tar", "two.tar"}) {
    run_checked({.argv = {"tar", "-xf", file(name), "-C", file("both")}});
    images.push_back(parse_json(read_file(dir_ / "both/manifest.json"))[0]);
  }
  write_file(dir_ / "both/manifest.json", images.dump());
  run_checked({.argv = {"tar", "-cf", file(), "-C", file("both"), "."}});
  expect_refused(3, {"more than one image", "choose one of: team/tool:1, team/tool:2"},
                 {"env", "add", "a", "./saved.tar"});
  expect_refused(3, {"has no image 'team/tool:3'", "it has: team/tool:1, team/tool:2"},
                 {"env", "add", "a", "docker-archive:saved.tar:team/tool:3"});
  pyro_ok({"env", "add", "a", "docker-archive:saved.tar:team/tool:2"});
  expect_pulled("a", other_artifacts(2));
}

TEST_F(DockerArchives, RejectsImageForAnotherPlatform) {
  SavedImage image = saved();
  image.architecture = "arm64";
  write_file(file(), image.tar());
  expect_refused(5, {"no image for linux/amd64", "linux/arm64"},
                 {"env", "add", "a", "./saved.tar"});
}

// Runtime bundles have a manifest.json, too.
TEST_F(DockerArchives, TarWithOtherManifestJsonIsPlainArchive) {
  write_file(file(), TarBuilder()
                         .file("manifest.json", R"({"profiles": {}})")
                         .file("vmlinux", sample().kernel)
                         .file("rootfs.ext4", sample().rootfs)
                         .finish());
  pyro_ok({"env", "add", "a", "./saved.tar"});
  EXPECT_EQ(added_source("a"), file());
  expect_pulled("a");
  expect_refused(5, {"manifest.json is not a list of images"},
                 {"env", "add", "b", "docker-archive:saved.tar"});
}

// --- archives compressed as a whole ---

class CompressedArchives : public DockerArchives,
                           public ::testing::WithParamInterface<Compression> {
 protected:
  std::string packed_file(const std::string& bytes) const {
    const std::string name = file("packed") + file_suffix(GetParam());
    write_file(name, compress(bytes, GetParam()));
    return name;
  }
};

TEST_P(CompressedArchives, InstallsDockerArchive) {
  const std::string packed = packed_file(saved().tar());
  pyro_ok({"env", "add", "a", "docker-archive:" + packed});
  pyro_ok({"env", "add", "b", packed});
  EXPECT_EQ(added_source("b"), packed) << "only a pull unpacks";
  expect_pulled("a");
  expect_pulled("b");
  expect_says(record("b")["source"], {"docker-archive:" + packed + "@sha256:"});
}

TEST_P(CompressedArchives, InstallsImageLayout) {
  write_oci_layout(image_of(sample()), dir_ / "layout", "1");
  run_checked({.argv = {"tar", "-cf", file(), "-C", file("layout"), "."}});
  const std::string packed = packed_file(read_file(file()));
  pyro_ok({"env", "add", "a", "oci-archive:" + packed + ":1"});
  pyro_ok({"env", "add", "b", packed});
  expect_pulled("a");
  expect_pulled("b");
  expect_says(record("a")["source"], {"oci-archive:" + packed + "@sha256:"});
}

TEST_P(CompressedArchives, ImportsExport) {
  write_file(file("tool.tar"), tar_of(sample()));
  write_file(file("other.tar"), tar_of(other_artifacts(2)));
  use_catalog({archive_entry(file("tool.tar")), archive_entry(file("other.tar"), "other:1")});
  pyro_ok({"env", "pull", "tool:1", "other:1"});
  pyro_ok({"env", "export", "tool:1", "other:1", "-o", file()});
  const std::string packed = packed_file(read_file(file()));
  fs::remove_all(cache());
  pyro_ok({"env", "import", packed});
  expect_installed(sample());
  expect_installed(other_artifacts(2), "other:1");
  EXPECT_TRUE(fs::is_empty(cache() / "staging"));
}

TEST_P(CompressedArchives, RejectsArchiveAboveMaxSize) {
  const std::string packed = packed_file(saved().tar() + std::string(5U << 20, '\0'));
  pyro_ok({"env", "add", "tool:1", "docker-archive:" + packed});
  expect_refused(5, {"archive " + packed, "it would take 4 MiB; the limit is 3 MiB"},
                 {"env", "pull", "tool:1", "--max-size", "3MiB"});
  expect_refused(5, {"it would take", "the limit is 3 MiB"},
                 {"env", "import", packed, "--as", "tool:1", "--max-size", "3MiB"});
}

INSTANTIATE_TEST_SUITE_P(All, CompressedArchives,
                         ::testing::Values(Compression::gzip, Compression::zstd, Compression::xz,
                                           Compression::bzip2),
                         [](const auto& row) { return file_suffix(row.param).substr(1); });

// --- hostile archives ---

SavedImage with_config(const JsonEdit& edit) {
  SavedImage image = saved();
  image.edit_config = edit;
  return image;
}

// These archives are no proof of content, as a plain tar is none.
TEST_F(DockerArchives, AcceptsMissingDiffIdsAndCompressedLayers) {
  SavedImage packed = saved();
  packed.store = [](const std::string& layer) { return compress(layer, Compression::gzip); };
  for (const SavedImage& image :
       {with_config([](json& config) { config.erase("rootfs"); }), packed}) {
    write_file(file(), image.tar());
    use_catalog({archive_entry("docker-archive:" + file())});
    pyro_ok({"env", "pull", "--force", "tool:1"});
    expect_installed(sample());
  }
}

struct Hostile {
  const char* name;
  SavedImage image;
  Words says;

  friend void PrintTo(const Hostile& self, std::ostream* out) { *out << self.name; }
};

SavedImage with_layer_called(const std::string& name) {
  SavedImage image = saved();
  image.edit_manifest = [name](json& entry) { entry["Layers"][0] = name; };
  return image;
}

SavedImage with_layer_linked_to(const std::string& target) {
  SavedImage image = with_layer_called("linked/layer.tar");
  image.add = [target](TarBuilder& tar) { tar.symlink("linked/layer.tar", target); };
  return image;
}

SavedImage with_manifest(const JsonEdit& edit) {
  SavedImage image = saved();
  image.edit_manifest = edit;
  return image;
}

const std::vector<Hostile> kHostile = {
    {"LayerUpwards", with_layer_called("../../etc/passwd"), {"'../../etc/passwd'", "not there"}},
    {"LayerWithAbsolutePath", with_layer_called("/etc/passwd"), {"'/etc/passwd'", "is not there"}},
    {"LayerMissing", with_layer_called("gone/layer.tar"), {"'gone/layer.tar'", "is not there"}},
    {"LayerLinkedUpwards", with_layer_linked_to("../../../etc/passwd"), {"is not a regular file"}},
    {"LayerLinkedToTheHost", with_layer_linked_to("/etc/passwd"), {"is not a regular file"}},
    {"LayerLinkedToNothing", with_layer_linked_to("gone"), {"links to a missing member"}},
    {"LayerLinkedToItself", with_layer_linked_to("layer.tar"), {"is not a regular file"}},
    {"LayerIsAPipe",
     [] {
       SavedImage image = with_layer_called("pipe");
       image.add = [](TarBuilder& tar) { tar.fifo("pipe"); };
       return image;
     }(),
     {"is not a regular file"}},
    {"MoreLayersThanDiffIds",
     with_manifest([](json& image) { image["Layers"].push_back(image["Layers"][0]); }),
     {"3 layers, and its config 2 diff_ids"}},
    {"DiffIdMalformed",
     with_config([](json& config) { config["rootfs"]["diff_ids"][0] = "sha256:../x"; }),
     {"diff_id", "is no SHA-256 digest"}},
    {"DiffIdsNotAList",
     with_config([](json& config) { config["rootfs"]["diff_ids"] = 7; }),
     {"diff_ids", "is not a list"}},
    {"ConfigUnderAnotherDigest",
     with_manifest([](json& image) { image["Config"] = std::string(64, 'a') + ".json"; }),
     {"is not there"}},
    {"NoConfig", with_manifest([](json& image) { image.erase("Config"); }), {"has no config"}},
    {"LayersNotStrings",
     with_manifest([](json& image) { image["Layers"] = json::array({1}); }),
     {"Layers", "is not a list"}},
    {"NoLayers",
     [] {
       SavedImage image = saved();
       image.layers.clear();
       return image;
     }(),
     {"the image has no layers"}},
};

class HostileDockerArchives : public DockerArchives,
                              public ::testing::WithParamInterface<Hostile> {};

TEST_P(HostileDockerArchives, AreRefused) {
  write_file(file(), GetParam().image.tar());
  expect_refused(5, GetParam().says, {"env", "add", "tool:1", "docker-archive:saved.tar"});
  use_catalog({archive_entry("docker-archive:" + file())});
  expect_refused_over_an_install(5, GetParam().says);
  write_file(file(), compress(GetParam().image.tar(), Compression::gzip));
  expect_refused_over_an_install(5, GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(All, HostileDockerArchives, ::testing::ValuesIn(kHostile), row_name);

// Digests of layers are checked while the layers are read.
TEST_F(DockerArchives, RejectsLayerWithAnotherDiffId) {
  const SavedImage image =
      with_config([](json& config) { config["rootfs"]["diff_ids"][1] = sha256_digest("another"); });
  write_file(file(), image.tar());
  use_catalog({archive_entry("docker-archive:" + file())});
  expect_refused_over_an_install(5, {"cannot read the layer " + sha256_digest("another"),
                                     "its digest is " + sha256_digest(image.layers[1])});
}

TEST_F(DockerArchives, RejectsConfigWhoseDigestIsNotItsName) {
  SavedImage image = saved();
  const std::string name = std::string(64, 'a') + ".json";
  image.add = [&](TarBuilder& tar) { tar.file(name, image.config()); };
  image.edit_manifest = [&](json& entry) { entry["Config"] = name; };
  write_file(file(), image.tar());
  use_catalog({archive_entry("docker-archive:" + file())});
  expect_refused_over_an_install(5, {"the digest of the config " + name + " is sha256:"});
}

TEST_F(DockerArchives, RejectsConfigsAbove16MiBTogether) {
  const std::string config = std::string(4U << 20, ' ');
  write_file(file(), TarBuilder()
                         .file("c", "{}" + config.substr(2))
                         .file("manifest.json",
                               json(std::vector<json>(5, {{"Config", "c"}, {"Layers", {}}})).dump())
                         .finish());
  use_catalog({archive_entry("docker-archive:" + file())});
  expect_refused(5, {"c has 4194304 bytes; at most 0 are read"});
}

TEST_F(DockerArchives, RejectsMalformedManifestJson) {
  use_catalog({archive_entry("docker-archive:" + file())});
  for (const char* text : {"", "{}", "[", "[7]", "[{}]", "[null]", R"([{"Config": 1}])"}) {
    write_file(file(), TarBuilder().file("manifest.json", text).finish());
    expect_refused(5, {"cannot use the manifest.json of " + file()});
  }
  write_file(file(), TarBuilder().file("x", "").finish());
  expect_refused(5, {"cannot use the manifest.json of " + file(), "it is not there"});
}

// A pin is the digest of a manifest, or of an archive of artifacts.
TEST_F(DockerArchives, AreRejectedForPinnedEntries) {
  write_file(file(), compress(saved().tar(), Compression::gzip));
  json pinned = archive_entry("docker-archive:" + file());
  pinned["oci_digest"] = "sha256:" + saved().id();
  use_catalog({pinned});
  expect_refused_over_an_install(5, {"but the catalog pins sha256:" + saved().id()});
  json archive = archive_entry(file());
  archive["source_sha256"] = sha256_digest(read_file(file())).substr(7);
  use_catalog({archive});
  expect_refused_over_an_install(5, {"did not contain vmlinux"});
}

TEST_F(DockerArchives, RejectsArchiveCompressedTwice) {
  const std::string once = compress(saved().tar(), Compression::gzip);
  write_file(file(), compress(once, Compression::zstd));
  use_catalog({archive_entry("docker-archive:" + file())});
  expect_refused_over_an_install(5, {"is not a tar archive, it is gzip data", "unpack it first"});
}

TEST_F(DockerArchives, RejectsArchiveCutShort) {
  const std::string whole = compress(saved().tar(), Compression::gzip);
  use_catalog({archive_entry("docker-archive:" + file())});
  for (const std::size_t size : {whole.size() / 3, whole.size() - 1}) {
    write_file(file(), whole.substr(0, size));
    expect_refused_over_an_install(5, {"archive " + file()});
  }
  const std::string plain = saved().tar();
  write_file(file(), plain.substr(0, plain.size() / 2));
  expect_refused_over_an_install(5, {file() + " is cut short"});
}

}  // namespace
}  // namespace pyro::testing
