// What is written is an image layout that can be read.
#include "oci/layout_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "oci/image_layout.h"
#include "oci/tar_index.h"
#include "support/process.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

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
    writer.add_image(layer, sha256("tar"), {{"key", name}},
                     {{std::string(kRefName), name}, {"entry", "yes"}});
  }
  file.commit(writer.finish());
  return testing::read_file(path);
}

TEST(LayoutWriter, WritesWhatImageLayoutReads) {
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

TEST(LayoutWriter, WritesEachBlobOnceAndTheSameBytesAgain) {
  const testing::TempDir dir;
  const std::string first = write_layout(dir / "1.tar");
  EXPECT_TRUE(first == write_layout(dir / "2.tar"));
  const auto listing = testing::run({.argv = {"tar", "-tf", (dir / "1.tar").string()}}).out;
  // Two folders, a layer, a config, two manifests, and two files of the layout itself.
  EXPECT_EQ(std::ranges::count(listing, '\n'), 8);
}

}  // namespace
}  // namespace pyro
