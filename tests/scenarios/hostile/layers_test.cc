// Layers that must be refused: hostile, damaged or incomplete.
//
// Each row runs twice, into an empty cache and over an older install, and both times the cache must
// be as before.
#include <gtest/gtest.h>

#include <functional>

#include "scenarios/registry_harness.h"

namespace pyro::testing {
namespace {

/// The layers of a row's image.
struct Layers {
  ImageBuilder image{ImageFormat::oci};

  void tar(const TarBuilder& tar, Compression compression = Compression::gzip) {
    image.layer(tar.finish(), compression);
  }
  void raw(const std::string& bytes) {
    image.raw_layer(bytes, layer_media_type(ImageFormat::oci, Compression::gzip));
  }
};

struct HostileLayer {
  const char* name;
  std::function<void(Layers&)> make;
  std::vector<std::string> says;
  std::vector<std::string> options = {};

  friend void PrintTo(const HostileLayer& self, std::ostream* out) { *out << self.name; }
};

TarBuilder good() {
  return TarBuilder().file("vmlinux", sample().kernel).file("rootfs.ext4", sample().rootfs);
}

/// A good environment, and then what `add` adds.
std::function<void(Layers&)> good_and(const std::function<void(TarBuilder&)>& add) {
  return [add](Layers& layers) {
    TarBuilder tar = good();
    add(tar);
    layers.tar(tar);
  };
}

std::function<void(Layers&)> only(const TarBuilder& tar) {
  return [tar](Layers& layers) { layers.tar(tar); };
}

std::function<void(Layers&)> cut(Compression compression, std::size_t keep_percent) {
  return [=](Layers& layers) {
    const std::string whole = compress(good().finish(), compression);
    layers.raw(whole.substr(0, whole.size() * keep_percent / 100));
  };
}

std::function<void(Layers&)> sparse_rootfs(SparseFile file, SparseFormat format) {
  return [=](Layers& layers) {
    layers.tar(TarBuilder().file("vmlinux", "k").sparse(format, "rootfs.ext4", file));
  };
}

const std::vector<HostileLayer> kRows = {
    // Members.
    {"KernelIsASymlinkToOutside",
     only(TarBuilder().symlink("vmlinux", "/boot/vmlinux").file("rootfs.ext4", "r")),
     {"link 'vmlinux' points out of the archive, to '/boot/vmlinux'"}},
    {"KernelIsASymlinkUpwards",
     only(TarBuilder().symlink("boot/vmlinux", "../../x").file("rootfs.ext4", "r")),
     {"link 'boot/vmlinux' points out of the archive, to '../../x'"}},
    {"KernelIsASymlinkToNothing",
     only(TarBuilder().symlink("vmlinux", "gone").file("rootfs.ext4", "r")),
     {"environment archive did not contain vmlinux"}},
    {"KernelIsASymlinkToItself",
     only(TarBuilder().symlink("vmlinux", "vmlinux").file("rootfs.ext4", "r")),
     {"environment archive did not contain vmlinux"}},
    {"RootfsIsAHardlinkToOutside",
     only(TarBuilder().file("vmlinux", "k").hardlink("rootfs.ext4", "../x")),
     {"link 'rootfs.ext4' points out of the archive, to '../x'"}},
    {"KernelBehindAnOutwardLink",
     only(TarBuilder().symlink("boot", "/boot").file("boot/vmlinux", "k").file("rootfs.ext4", "r")),
     {"link 'boot' points out of the archive, to '/boot'"}},
    {"ArtifactIsADevice",
     only(TarBuilder().file("vmlinux", "k").block_device("rootfs.ext4")),
     {"'rootfs.ext4' is a device"}},
    {"ArtifactIsAFifo",
     only(TarBuilder().file("rootfs.ext4", "r").fifo("vmlinux")),
     {"'vmlinux' is a FIFO"}},
    {"ParentInTheName",
     good_and([](TarBuilder& tar) { tar.file("../evil", "x"); }),
     {"'../evil' has '..' in its name"}},
    {"ParentInTheMiddle",
     good_and([](TarBuilder& tar) { tar.file("a/../../vmlinux", "x"); }),
     {"'a/../../vmlinux' has '..' in its name"}},
    {"ParentInADirectory",
     good_and([](TarBuilder& tar) { tar.directory("a/.."); }),
     {"has '..' in its name"}},
    {"AbsoluteName",
     good_and([](TarBuilder& tar) { tar.file("/etc/passwd", "x"); }),
     {"'/etc/passwd' has an absolute name"}},
    {"AbsoluteArtifact",
     only(TarBuilder().file("/vmlinux", "k").file("rootfs.ext4", "r")),
     {"'/vmlinux' has an absolute name"}},
    {"AbsoluteNameInPax",
     good_and([](TarBuilder& tar) {
       tar.pax({{"path", "/etc/passwd"}}).file("x", "x");
     }),
     {"'/etc/passwd' has an absolute name"}},
    {"LongNameWithParent",
     good_and([](TarBuilder& tar) {
       tar.gnu_long_name(std::string(200, 'a') + "/../../../x").file("x", "x");
     }),
     {"has '..' in its name"}},
    {"TwoKernelsAtOneDepth",
     only(TarBuilder().file("a/vmlinux", "a").file("b/vmlinux", "b").file("rootfs.ext4", "r")),
     {"a/vmlinux", "b/vmlinux"}},
    {"TwoKernelsAtOneDepthInTwoLayers",
     [](Layers& layers) {
       layers.tar(TarBuilder().file("a/vmlinux", "a").file("rootfs.ext4", "r"));
       layers.tar(TarBuilder().file("b/vmlinux", "b"));
     },
     {"a/vmlinux", "b/vmlinux"}},
    {"TooManyCandidates",
     only(TarBuilder()
              .file("a/vmlinux", "a")
              .file("b/vmlinux", "b")
              .file("c/vmlinux", "c")
              .file("d/vmlinux", "d")
              .file("e/vmlinux", "e")
              .file("rootfs.ext4", "r")),
     {"vmlinux"}},
    // Missing artifacts.
    {"NoKernel",
     only(TarBuilder().file("rootfs.ext4", "r")),
     {"environment archive did not contain vmlinux"}},
    {"NoRootfs",
     only(TarBuilder().file("vmlinux", "k")),
     {"environment archive did not contain rootfs.ext4"}},
    {"EmptyTar", only(TarBuilder()), {"environment archive did not contain vmlinux"}},
    {"KernelIsADirectory",
     only(TarBuilder().directory("vmlinux").file("rootfs.ext4", "r")),
     {"environment archive did not contain vmlinux"}},
    {"HiddenByAWhiteout",
     [](Layers& layers) {
       layers.tar(good());
       layers.tar(TarBuilder().whiteout("vmlinux"));
     },
     {"environment archive did not contain vmlinux"}},
    {"HiddenByADirectory",
     [](Layers& layers) {
       layers.tar(good());
       layers.tar(TarBuilder().directory("vmlinux"));
     },
     {"environment archive did not contain vmlinux"}},
    // Bounds.
    {"OverMaxSize",
     only(good()),
     {"'rootfs.ext4'", "2 MiB", "the limit is 1 MiB", "--max-size"},
     {"--max-size", "1MiB"}},
    {"ClaimedSizeTooLarge",
     [](Layers& layers) {
       layers.image.layer(
           TarBuilder()
               .file("vmlinux", "k")
               .tweak({.claimed_size = std::uint64_t{65} << 30, .base256_size = true})
               .file("rootfs.ext4", "r")
               .finish());
     },
     {"'rootfs.ext4'", "66560 MiB", "65536 MiB"}},
    {"KernelTooLarge",
     [](Layers& layers) {
       layers.image.layer(TarBuilder()
                              .tweak({.claimed_size = (std::uint64_t{1} << 30) + 1})
                              .file("vmlinux", "k")
                              .finish());
     },
     {"'vmlinux'", "1024 MiB"}},
    {"SparseTooLarge",
     sparse_rootfs({.size = std::int64_t{65} << 30, .extents = {{0, 4}}, .stored = "data"},
                   SparseFormat::pax_1_0),
     {"'rootfs.ext4'", "66560 MiB"}},
    {"TooManyMembers",
     [](Layers& layers) {
       TarBuilder tar = good();
       const std::string one = TarBuilder().file("x", "").unfinished();
       std::string many;
       many.reserve(one.size() * 100'000);
       for (int i = 0; i < 100'000; ++i) many += one;
       layers.tar(tar.raw(many));
     },
     {"100000 members"}},
    {"SparseOverlaps",
     sparse_rootfs({.size = 9000, .extents = {{0, 4}, {2, 4}}, .stored = "datadata"},
                   SparseFormat::pax_1_0),
     {"layer 1 of 1"}},
    {"SparseBackwards",
     sparse_rootfs({.size = 9000, .extents = {{5000, 4}, {0, 4}}, .stored = "datadata"},
                   SparseFormat::gnu_old),
     {"layer 1 of 1"}},
    {"SparsePastTheEnd",
     sparse_rootfs({.size = 9000, .extents = {{0, 4}, {9000, 4}}, .stored = "datadata"},
                   SparseFormat::pax_0_1),
     {"layer 1 of 1"}},
    {"SparseMapLargerThanData",
     sparse_rootfs({.size = 9000, .extents = {{0, 4}, {4096, 4}}, .stored = "data"},
                   SparseFormat::pax_1_0),
     {"layer 1 of 1", "has more than it holds"}},
    {"LargeZstdWindow",
     [](Layers& layers) { layers.raw(zstd_with_window(good().finish(), 28)); },
     {"layer 1 of 1"}},
    {"LongPaxHeader",
     [](Layers& layers) {
       layers.tar(TarBuilder()
                      .pax({{"comment", std::string(2 << 20, 'x')}})
                      .file("vmlinux", "k")
                      .file("rootfs.ext4", "r"));
     },
     {"layer 1 of 1"}},
    // Damage.
    {"TruncatedGzip", cut(Compression::gzip, 50), {"layer 1 of 1", "gzip"}},
    {"TruncatedGzipTrailer",
     [](Layers& layers) {
       const std::string whole = compress(good().finish(), Compression::gzip);
       layers.raw(whole.substr(0, whole.size() - 4));
     },
     {"layer 1 of 1", "gzip"}},
    {"GzipChecksum",
     [](Layers& layers) {
       std::string whole = compress(good().finish(), Compression::gzip);
       whole[whole.size() - 6] ^= 1;
       layers.raw(whole);
     },
     {"layer 1 of 1", "gzip"}},
    {"GarbageAfterGzip",
     [](Layers& layers) { layers.raw(compress(good().finish(), Compression::gzip) + "garbage"); },
     {"layer 1 of 1"}},
    {"TruncatedZstd", cut(Compression::zstd, 50), {"layer 1 of 1", "zstd"}},
    {"TruncatedXz", cut(Compression::xz, 50), {"layer 1 of 1", "xz"}},
    {"TruncatedBzip2", cut(Compression::bzip2, 50), {"layer 1 of 1", "bzip2"}},
    {"TruncatedTar",
     [](Layers& layers) {
       const std::string tar = good().finish();
       layers.image.layer(tar.substr(0, tar.size() / 2));
     },
     {"layer 1 of 1", "tar"}},
    {"TruncatedInAHeader",
     [](Layers& layers) { layers.image.layer(good().unfinished() + std::string(100, 'x')); },
     {"layer 1 of 1", "tar"}},
    {"WrongTarChecksum",
     [](Layers& layers) {
       layers.tar(TarBuilder()
                      .file("vmlinux", "k")
                      .tweak({.wrong_checksum = true})
                      .file("rootfs.ext4", "r"));
     },
     {"layer 1 of 1", "tar"}},
    {"DataAfterEndOfArchive",
     [](Layers& layers) {
       layers.image.layer(good().finish() + TarBuilder().file("vmlinux", "evil").finish());
     },
     {"layer 1 of 1", "follows its end"}},
    {"OnlyAnEmptyLayer",
     [](Layers& layers) { layers.raw(""); },
     {"environment archive did not contain vmlinux"}},
    {"NoTar", [](Layers& layers) { layers.image.layer(noise(5000)); }, {"layer 1 of 1", "tar"}},
    {"Page",
     [](Layers& layers) { layers.raw("<!DOCTYPE html><html></html>"); },
     {"layer 1 of 1", "it is not a tar archive, it is an HTML page", "pyro reads tar"}},
    {"SecondLayerDamaged",
     [](Layers& layers) {
       layers.tar(good());
       layers.raw("\x1f\x8b nonsense");
     },
     {"layer 2 of 2"}},
};

class HostileLayerTest : public RegistryHarness,
                         public ::testing::WithParamInterface<HostileLayer> {
 protected:
  void expect_refused(std::vector<std::string> words) {
    Layers layers;
    GetParam().make(layers);
    offer(layers.image.build());
    const auto before = cache_state();
    words.insert(words.end(), GetParam().options.begin(), GetParam().options.end());
    const ProcessResult result = pyro(words);
    EXPECT_EQ(result.exit_code, 5) << result.err;
    EXPECT_EQ(result.out, "");
    expect_says(result.err, {"pyro: error: cannot install tool:1"});
    expect_says(result.err, GetParam().says);
    EXPECT_EQ(cache_state(), before);
  }
};

TEST_P(HostileLayerTest, LeavesAnEmptyCacheEmpty) {
  expect_refused({"env", "pull", "tool:1"});
}

TEST_P(HostileLayerTest, LeavesAnOlderInstallAlone) {
  install_by_hand(other_artifacts(20));
  expect_refused({"env", "pull", "tool:1", "--force"});
  expect_installed(other_artifacts(20));
}

INSTANTIATE_TEST_SUITE_P(Layers, HostileLayerTest, ::testing::ValuesIn(kRows), row_name);

class RaisedLimitTest : public RegistryHarness {};

TEST_F(RaisedLimitTest, InstallsArtifactUnderRaisedMaxSize) {
  offer(image_of(sample()));
  EXPECT_EQ(pyro({"env", "pull", "tool:1", "--max-size", "2MiB"}).exit_code, 5);
  pyro_ok({"env", "pull", "tool:1", "--max-size", "3MiB"});
  expect_installed(sample());
}

}  // namespace
}  // namespace pyro::testing
