// Tests of the plan of layers: tars, files, and layers that are skipped.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "pyro/error.h"
#include "source/image_source.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

constexpr char kTar[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kTarGzip[] = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr char kOctets[] = "application/octet-stream";

Descriptor layer(const std::string& title, const std::string& type = kTar,
                 const std::string& unpack = {}) {
  Descriptor descriptor{.media_type = type, .digest = Digest(Digest::Bytes{}), .size = 10};
  if (!title.empty()) descriptor.annotations.emplace(kTitle, title);
  if (!unpack.empty()) descriptor.annotations.emplace(kUnpack, unpack);
  return descriptor;
}

/// "tar", "vmlinux", "rootfs.ext4 compressed" for each layer that is fetched, with its index.
std::string plan(const std::vector<Descriptor>& layers) {
  std::string text;
  for (const PlannedLayer& planned : plan_layers({.media_type = {}, .layers = layers}, {}).layers) {
    text += (text.empty() ? "" : ", ") + std::to_string(planned.index) + " ";
    if (planned.form.shape == LayerForm::Shape::tar) {
      text += "tar";
    } else {
      text += kArtifactKinds[planned.form.artifact].name;
    }
    if (planned.form.shape == LayerForm::Shape::compressed_file) text += " compressed";
  }
  return text;
}

std::string refusal(const std::vector<Descriptor>& layers) {
  try {
    return plan(layers);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.message();
  }
}

TEST(LayerPlan, TreatsLayersAsTars) {
  EXPECT_EQ(plan({layer("", kTarGzip), layer("", kOctets)}), "0 tar, 1 tar");
  EXPECT_EQ(plan({layer("environment.tar"), layer("notes.txt")}), "0 tar, 1 tar");
}

TEST(LayerPlan, TitleOfArtifactMakesFileOfAnyMediaType) {
  for (const char* type : {kTar, kOctets, "", "application/vnd.example.kernel"}) {
    EXPECT_EQ(plan({layer("rootfs.ext4", type), layer("vmlinux", type)}),
              "0 rootfs.ext4, 1 vmlinux");
  }
  EXPECT_EQ(plan({layer("./out//vmlinux"), layer("out/initrd.img")}), "0 vmlinux, 1 initrd.img");
}

TEST(LayerPlan, SuffixOrMediaTypeMarksCompressedFile) {
  EXPECT_EQ(plan({layer("vmlinux.gz"), layer("rootfs.ext4.zst", kOctets), layer("initrd.img.xz")}),
            "0 vmlinux compressed, 1 rootfs.ext4 compressed, 2 initrd.img compressed");
  EXPECT_EQ(plan({layer("vmlinux.bz2"), layer("rootfs.ext4", "application/x+zstd"),
                  layer("initrd.img", kTarGzip)}),
            "0 vmlinux compressed, 1 rootfs.ext4 compressed, 2 initrd.img compressed");
}

TEST(LayerPlan, SkipsOtherFilesBesideArtifacts) {
  EXPECT_EQ(
      plan({layer("README.md"), layer("vmlinux"), layer(""), layer("folder", kTarGzip, "true"),
            layer("vmlinux.sig"), layer("xvmlinux"), layer("rootfs.ext4.gz.zst")}),
      "1 vmlinux, 2 tar, 3 tar");
  EXPECT_EQ(plan({layer("vmlinux", kTarGzip, "true")}), "0 tar");
}

TEST(LayerPlan, RejectsTwoLayersOfOneArtifact) {
  for (const char* other : {"vmlinux", "./vmlinux", "vmlinux.gz", "boot/vmlinux"}) {
    EXPECT_EQ(refusal({layer("vmlinux"), layer(other)}),
              "two layers are called 'vmlinux': it is not clear which one is meant");
  }
}

TEST(LayerPlan, RejectsAbsoluteTitlesAndDotDot) {
  EXPECT_EQ(refusal({layer("../vmlinux")}), "member '../vmlinux' has '..' in its name");
  EXPECT_EQ(refusal({layer("/boot/vmlinux")}), "member '/boot/vmlinux' has an absolute name");
}

TEST(LayerPlan, RejectsSignaturesChartsModulesAndEncryptedLayers) {
  const auto says = [](const std::string& type) { return refusal({layer("", type)}); };
  EXPECT_EQ(says("application/vnd.dev.cosign.simplesigning.v1+json"),
            "it is a cosign signature, not an environment");
  EXPECT_EQ(says("application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
            "it is a Helm chart, not an environment");
  EXPECT_EQ(says("application/vnd.wasm.content.layer.v1+wasm"),
            "it is a WebAssembly module, not an environment");
  EXPECT_EQ(says("application/vnd.dsse.envelope.v1+json"),
            "it is a signed attestation, not an environment");
  EXPECT_EQ(says("application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
            "layer 1 of 1 (sha256:" + std::string(64, '0') + ") is encrypted");
  EXPECT_EQ(refusal({layer("vmlinux", "application/octet-stream+encrypted"), layer("")}),
            "layer 1 of 2 (sha256:" + std::string(64, '0') + ") is encrypted");
}

TEST(LayerPlan, OnlyLayerOfContainerMayBeItsFileSystem) {
  const auto shape = [](const std::vector<Descriptor>& layers) {
    const Manifest manifest{.media_type = {}, .layers = layers};
    return plan_layers(manifest, {}, EnvironmentKind::container).layers.front().form.shape;
  };
  EXPECT_EQ(shape({layer("rootfs.ext4")}), LayerForm::Shape::archive);
  EXPECT_EQ(shape({layer("rootfs.ext4.zst")}), LayerForm::Shape::archive);
  EXPECT_EQ(shape({layer("vmlinux")}), LayerForm::Shape::tar);
  EXPECT_EQ(shape({layer("rootfs.ext4", kTarGzip, "true")}), LayerForm::Shape::tar);
  EXPECT_EQ(shape({layer("rootfs.ext4"), layer("")}), LayerForm::Shape::tar);
}

TEST(LayerPlan, CountsBytesOfFetchedLayersOnly) {
  const Manifest manifest{.media_type = {}, .layers = {layer("vmlinux"), layer("a"), layer("")}};
  EXPECT_EQ(plan_layers(manifest, {}).compressed_bytes, 20U);
  EXPECT_THROW((void)plan_layers(manifest, {.compressed_bytes = 19}), Error);
}

}  // namespace
}  // namespace pyro
