// Tests of image layouts: directories and tars, read and written.
#include "oci/image_layout.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "oci/layout_files.h"
#include "pyro/error.h"
#include "support/hash.h"
#include "support/images.h"
#include "support/process.h"
#include "support/tar_builder.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Image;
using testing::ImageBuilder;
using testing::IndexBuilder;

Image image_of(const std::string& content, const std::string& architecture = "amd64") {
  return ImageBuilder()
      .platform({"linux", architecture, ""})
      .layer(testing::TarBuilder().file("a", content).finish())
      .build();
}

/// The directory as a tar, in the order of names.
std::string tar_of(const fs::path& directory) {
  testing::TarBuilder tar;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    const std::string name = entry.path().lexically_relative(directory).string();
    if (entry.is_symlink()) {
      tar.symlink(name, "target");
    } else if (entry.is_regular_file()) {
      tar.file(name, testing::read_file(entry.path()));
    } else if (entry.is_fifo()) {
      tar.fifo(name);
    }
  }
  return tar.finish();
}

class ImageLayoutTest : public ::testing::Test {
 protected:
  testing::TempDir dir_;
  const fs::path layout_ = dir_ / "layout";

  void add(const Image& image, const std::string& tag) const {
    testing::write_oci_layout(image, layout_, tag);
  }

  void edit_index(const testing::JsonEdit& edit) const {
    json index = json::parse(testing::read_file(layout_ / "index.json"));
    edit(index);
    testing::write_file(layout_ / "index.json", index.dump());
  }

  fs::path blob(const std::string& digest) const {
    return layout_ / "blobs/sha256" / digest.substr(7);
  }

  fs::path tar() const {
    testing::write_file(dir_ / "layout.tar", tar_of(layout_));
    return dir_ / "layout.tar";
  }

  /// The error for the directory and for the tar, which must be equal.
  template <typename Work>
  std::string refusal(const Work& work) const {
    std::string first;
    for (const fs::path& path : {layout_, tar()}) {
      std::string said = "no error";
      try {
        work(ImageLayout(path));
      } catch (const Error& error) {
        said = error.what();
        for (std::size_t at; (at = said.find(path.string())) != said.npos;) {
          said.replace(at, path.string().size(), "LAYOUT");
        }
        if (!error.hint().empty()) said += " | " + error.hint();
      }
      if (first.empty()) first = said;
      EXPECT_EQ(said, first);
    }
    return first;
  }

  std::string refusal_of_tag(const std::string& tag) const {
    return refusal([&](const ImageLayout& layout) { (void)layout.resolve(tag); });
  }
};

TEST_F(ImageLayoutTest, FindsImagesByTag) {
  const Image one = image_of("one");
  const Image two = image_of("two");
  add(one, "1.0");
  add(two, "debian:12");
  for (const fs::path& path : {layout_, tar()}) {
    const ImageLayout layout(path);
    EXPECT_EQ(layout.resolve("1.0").manifest_digest.to_string(), one.digest());
    EXPECT_EQ(layout.resolve("debian:12").manifest_digest.to_string(), two.digest());
    EXPECT_EQ(layout.images().size(), 2U);
    EXPECT_EQ(layout.find(*Digest::parse(two.digest())), &layout.images()[1]);
    EXPECT_EQ(layout.find(*Digest::parse(testing::sha256_digest("x"))), nullptr);
  }
  EXPECT_EQ(refusal_of_tag("2.0"), "LAYOUT has no image '2.0' | it has: 1.0, debian:12");
  EXPECT_EQ(refusal_of_tag(""), "LAYOUT has more than one image | choose one of: 1.0, debian:12");
}

TEST_F(ImageLayoutTest, ResolvesOnlyImageWithoutTag) {
  const Image image = image_of("one");
  add(image, "1.0");
  EXPECT_EQ(ImageLayout(layout_).resolve("").digest.to_string(), image.digest());
  EXPECT_EQ(ImageLayout(tar()).resolve("").digest.to_string(), image.digest());
}

TEST_F(ImageLayoutTest, FollowsIndexToHostPlatform) {
  const Image ours = image_of("ours");
  const Image index =
      IndexBuilder().add(image_of("theirs", "arm64"), {{"linux", "arm64"}}).add(ours, {{}}).build();
  add(index, "1.0");
  const ResolvedImage resolved = ImageLayout(tar()).resolve("1.0");
  EXPECT_EQ(resolved.digest.to_string(), index.digest());
  EXPECT_EQ(resolved.manifest_digest.to_string(), ours.digest());
}

TEST_F(ImageLayoutTest, ChoosesPlatformAmongEntriesOfOneTag) {
  const Image ours = image_of("ours");
  add(image_of("theirs", "arm64"), "1.0");
  add(ours, "1.0");
  edit_index([](json& index) {
    index["manifests"][0]["platform"] = {{"os", "linux"}, {"architecture", "arm64"}};
    index["manifests"][1]["platform"] = {{"os", "linux"}, {"architecture", "amd64"}};
  });
  EXPECT_EQ(ImageLayout(layout_).resolve("1.0").digest.to_string(), ours.digest());
  EXPECT_EQ(ImageLayout(layout_).resolve("").digest.to_string(), ours.digest());
  edit_index([](json& index) { index["manifests"].erase(1); });
  EXPECT_EQ(refusal_of_tag("1.0"),
            "LAYOUT has no image for linux/amd64: there is only linux/arm64");
}

TEST_F(ImageLayoutTest, ReadsBlobsAndStopsOnRequest) {
  const Image image = image_of(std::string(700'000, 'x'));
  add(image, "1.0");
  for (const fs::path& path : {layout_, tar()}) {
    const ImageLayout layout(path);
    const Descriptor layer = layout.resolve("").manifest.layers[0];
    std::string read;
    layout.read_blob(layer,
                     [&](std::span<const std::byte> bytes) {
                       read.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
                     },
                     {});
    EXPECT_TRUE(read == image.blobs.at(layer.digest.to_string()));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_THROW(layout.read_blob(
                     layer, [](auto) {}, stop.get_token()),
                 Error);
  }
}

TEST_F(ImageLayoutTest, RejectsBlobsThatDifferFromDescriptor) {
  const Image image = image_of("x");
  add(image, "1.0");
  const auto read = [](const ImageLayout& layout) {
    layout.read_blob(layout.resolve("").manifest.layers[0], [](auto) {}, {});
  };
  const std::string layer = ImageLayout(layout_).resolve("").manifest.layers[0].digest.to_string();
  const std::string bytes = testing::read_file(blob(layer));
  const std::string start = "cannot read the layer " + layer + " of LAYOUT: ";

  std::string changed = bytes;
  changed[bytes.size() / 2] ^= 1;
  testing::write_file(blob(layer), changed);
  EXPECT_EQ(refusal(read), start + "its digest is " + testing::sha256_digest(changed));
  testing::write_file(blob(layer), bytes + "x");
  EXPECT_EQ(refusal(read), start + "it has " + std::to_string(bytes.size() + 1) +
                               " bytes instead of " + std::to_string(bytes.size()));
  fs::remove(blob(layer));
  EXPECT_EQ(refusal(read), start + "it is not there");
  fs::create_symlink("/etc/passwd", blob(layer));
  const std::string no_file =
      start + "blobs/sha256/" + layer.substr(7) + " of LAYOUT is not a regular file";
  EXPECT_EQ(refusal(read), no_file);
  fs::remove(blob(layer));
  ASSERT_EQ(::mkfifo(blob(layer).c_str(), 0600), 0);
  EXPECT_EQ(refusal(read), no_file);
}

TEST_F(ImageLayoutTest, RejectsManifestsThatDifferFromDescriptor) {
  const Image image = image_of("x");
  add(image, "1.0");
  const std::string start = "cannot read the manifest " + image.digest() + " of LAYOUT: ";
  const std::string bytes = testing::read_file(blob(image.digest()));
  testing::write_file(blob(image.digest()), " " + bytes.substr(1));
  EXPECT_EQ(refusal_of_tag(""),
            start + "its digest is " + testing::sha256_digest(" " + bytes.substr(1)));
  fs::remove(blob(image.digest()));
  EXPECT_EQ(refusal_of_tag(""), start + "it is not there");
}

TEST_F(ImageLayoutTest, RejectsInvalidLayouts) {
  const std::string hint =
      " | this takes a directory or a tar as 'skopeo copy', 'docker save' and 'pyro env export' "
      "write them";
  const auto nothing = [](const ImageLayout&) {};
  fs::create_directory(layout_);
  EXPECT_EQ(refusal(nothing), "LAYOUT is not an image layout: it has no oci-layout" + hint);
  testing::write_file(layout_ / "oci-layout", "{}");
  EXPECT_EQ(refusal(nothing), "LAYOUT is not an image layout: it has no imageLayoutVersion" + hint);
  testing::write_file(layout_ / "oci-layout", R"({"imageLayoutVersion": "2.0.0"})");
  EXPECT_EQ(refusal(nothing),
            "LAYOUT is not an image layout: its imageLayoutVersion is 2.0.0, not 1.0.0" + hint);
  testing::write_file(layout_ / "oci-layout", std::string(kLayoutVersion));
  EXPECT_EQ(refusal(nothing), "cannot use the index of LAYOUT: it has no index.json");
  testing::write_file(layout_ / "index.json", std::string(kMaxManifestBytes + 1, ' '));
  EXPECT_EQ(refusal(nothing),
            "cannot use the index of LAYOUT: index.json has 4194305 bytes; at most 4194304 are "
            "read");
  testing::write_file(layout_ / "index.json", R"({"schemaVersion": 2, "manifests": []})");
  EXPECT_EQ(refusal_of_tag(""), "LAYOUT has no image");
  EXPECT_EQ(refusal_of_tag("1"), "LAYOUT has no image '1' | its images have no names");
  fs::remove_all(layout_ / "index.json");
  fs::create_symlink("oci-layout", layout_ / "index.json");
  EXPECT_EQ(refusal(nothing),
            "cannot use the index of LAYOUT: index.json of LAYOUT is not a regular file");
}

TEST_F(ImageLayoutTest, RejectsPathAsDigest) {
  add(image_of("x"), "1.0");
  edit_index([](json& index) { index["manifests"][0]["digest"] = "sha256:../../etc/passwd"; });
  EXPECT_EQ(refusal([](const ImageLayout&) {}),
            "cannot use the index of LAYOUT: a descriptor's digest is missing or malformed: "
            "\"sha256:../../etc/passwd\"");
}

TEST_F(ImageLayoutTest, DoesNotFollowLinkToBlobs) {
  add(image_of("x"), "1.0");
  fs::rename(layout_ / "blobs", dir_ / "elsewhere");
  fs::create_symlink(dir_ / "elsewhere", layout_ / "blobs");
  EXPECT_THROW((void)ImageLayout(layout_).resolve(""), Error);
}

TEST_F(ImageLayoutTest, RejectsMissingPathAndPipe) {
  EXPECT_THROW(ImageLayout(dir_ / "missing"), Error);
  ASSERT_EQ(::mkfifo((dir_ / "pipe").c_str(), 0600), 0);
  EXPECT_THROW(ImageLayout(dir_ / "pipe"), Error);
}

std::span<const std::byte> bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// Two images over one layer.
std::string write_layout(const std::filesystem::path& path) {
  OutputFile file(path);
  LayoutWriter writer(file);
  for (const char* name : {"one", "two"}) {
    writer.begin_blob();
    writer.write(bytes("layer's "));
    writer.write(bytes("bytes"));
    const Descriptor layer = writer.end_blob("application/vnd.oci.image.layer.v1.tar");
    writer.add_image(layer, sha256("tar"), {}, {{"key", name}},
                     {{std::string(kRefName), name}, {"entry", "yes"}});
  }
  file.commit(writer.finish());
  return testing::read_file(path);
}

TEST(LayoutWriter, ImageLayoutReadsWrittenLayout) {
  const testing::TempDir dir;
  write_layout(dir / "x.tar");
  const ImageLayout layout(dir / "x.tar");
  ASSERT_EQ(layout.images().size(), 2U);
  EXPECT_EQ(annotation(layout.images()[0].annotations, "entry"), "yes");
  EXPECT_NE(choose_platform({.media_type = {}, .manifests = layout.images()}), nullptr);
  const Manifest manifest = layout.resolve("two").manifest;
  EXPECT_EQ(annotation(manifest.annotations, "key"), "two");
  std::string read;
  layout.read_blob(manifest.layers.at(0),
                   [&](std::span<const std::byte> piece) {
                     read.append(reinterpret_cast<const char*>(piece.data()), piece.size());
                   },
                   {});
  EXPECT_EQ(read, "layer's bytes");
}

TEST(LayoutWriter, WritesEachBlobOnceAndReproducibly) {
  const testing::TempDir dir;
  const std::string first = write_layout(dir / "1.tar");
  EXPECT_TRUE(first == write_layout(dir / "2.tar"));
  const auto listing = testing::run({.argv = {"tar", "-tf", (dir / "1.tar").string()}}).out;
  // Two folders, a layer, a config, two manifests, and two files of the layout itself.
  EXPECT_EQ(std::ranges::count(listing, '\n'), 8);
}

}  // namespace

}  // namespace pyro
