// Container images from compressed tars to file systems.
#include "image/flatten.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "image/test_image.h"
#include "stream/merged_view.h"
#include "support/artifacts.h"
#include "support/compress.h"
#include "support/tar_builder.h"
#include "support/temp_dir.h"

namespace pyro::image {
namespace {

using testing::compress;
using testing::Compression;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::TarBuilder;

/// Layers in memory, in pieces of an odd size.
class MemoryLayers final : public LayerStream {
 public:
  explicit MemoryLayers(std::vector<std::string> layers, Checksums checksums = Checksums::check)
      : layers_(std::move(layers)), form_({.checksums = checksums}) {}

  std::optional<LayerForm> next_layer() override {
    if (next_ == layers_.size()) return std::nullopt;
    rest_ = layers_[next_++];
    return form_;
  }

  std::span<const std::byte> next() override {
    const std::string_view piece = rest_.substr(0, 1237);
    rest_.remove_prefix(piece.size());
    return std::as_bytes(std::span(piece));
  }

 private:
  std::vector<std::string> layers_;
  LayerForm form_;
  std::size_t next_ = 0;
  std::string_view rest_;
};

/// A flattened image: in memory, with a path for other processes.
struct Flattened {
  explicit Flattened(std::vector<std::string> tars, const ExtractionLimits& limits = {},
                     Checksums checksums = Checksums::check)
      : file(make_memory_file("rootfs.ext4")) {
    MemoryLayers layers(std::move(tars), checksums);
    const FinishedFileSystem finished = flatten_layers(layers, file.get(), limits);
    size = finished.size;
    EXPECT_EQ(finished.digest, file_verity(file.get(), size, "rootfs.ext4", {}));
  }

  [[nodiscard]] std::string path() const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file.get());
  }

  [[nodiscard]] Files files() const {
    const auto check = testing::run({.argv = {"/sbin/e2fsck", "-fn", path()}, .clean_env = true});
    EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
    const testing::Ext4Image image(path());
    image.check();
    EXPECT_EQ(image.blocks() * 4096, size);
    return image.files();
  }

  Fd file;
  std::uint64_t size = 0;
};

std::string refusal_of_tars(const std::vector<std::string>& tars,
                            const ExtractionLimits& limits = {},
                            Checksums checksums = Checksums::check) {
  try {
    static_cast<void>(Flattened(tars, limits, checksums));
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.what();
  }
}

TEST(Flatten, LayersOfEveryCompressionMakeOneTree) {
  const std::string lowest =
      TarBuilder().directory("etc").file("etc/a", "old").file("etc/b", "b").finish();
  const std::string middle = TarBuilder().file("./etc/a", "new").whiteout("etc/b").finish();
  const std::string top = TarBuilder().symlink("link", "etc/a").finish();
  const Flattened image({compress(lowest, Compression::gzip), compress(middle, Compression::zstd),
                         compress(top, Compression::xz),
                         compress(TarBuilder().finish(), Compression::bzip2)});
  EXPECT_THAT(listing(image.files()), ElementsAre("etc/", "etc/a = new", "link -> etc/a"));
}

TEST(Flatten, KeepsOwnersModesAndTimes) {
  const Files files =
      Flattened({TarBuilder()
                     .tweak({.mode = 04755, .patches = {{108, "0001747"}, {116, "0000012"}}})
                     .file("su", "x")
                     .pax({{"uid", "4000000000"}, {"mtime", "1700000000.123456789"}})
                     .file("new", "y")
                     .pax({{"mtime", "-1.5"}})
                     .file("old", "z")
                     .finish()})
          .files();
  EXPECT_EQ(files.at("su").permissions, 04755U);
  EXPECT_EQ(files.at("su").uid, 999U);
  EXPECT_EQ(files.at("su").gid, 10U);
  EXPECT_EQ(files.at("new").uid, 4000000000U);
  EXPECT_EQ(files.at("new").seconds, 1700000000);
  EXPECT_EQ(files.at("new").nanoseconds, 123456789U);
  EXPECT_EQ(files.at("old").seconds, -2);
  EXPECT_EQ(files.at("old").nanoseconds, 500'000'000U);
}

TEST(Flatten, KeepsDevicesFifosAndHardLinks) {
  const Files files = Flattened({TarBuilder()
                                     .char_device("null", 1, 3)
                                     .block_device("disk", 259, 70000)
                                     .fifo("pipe")
                                     .file("a", "content")
                                     .hardlink("b", "a")
                                     .finish(),
                                 TarBuilder().hardlink("c", "/b").finish()})
                          .files();
  EXPECT_EQ(files.at("null").type, 'c');
  EXPECT_EQ(files.at("null").device_minor, 3U);
  EXPECT_EQ(files.at("disk").type, 'b');
  EXPECT_EQ(files.at("disk").device_major, 259U);
  EXPECT_EQ(files.at("pipe").type, 'p');
  EXPECT_EQ(files.at("a").links, 3U);
  EXPECT_EQ(files.at("a").inode, files.at("c").inode);
}

TEST(Flatten, KeepsCapabilitiesAndConvertsAccessControlLists) {
  const std::string capability("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  const Files files =
      Flattened({TarBuilder()
                     .pax({{"SCHILY.xattr.security.capability", capability},
                           {"SCHILY.xattr.user.note", "text"},
                           {"SCHILY.xattr.trusted.overlay.opaque", "y"}})
                     .file("ping", "x")
                     .pax({{"SCHILY.acl.access",
                            "user::rwx,user:joe:r-x:1000,group::r-x,mask::r-x,other::---"},
                           {"SCHILY.acl.default", "user::rwx,group::r-x,other::---"}})
                     .directory("shared")
                     .finish()})
          .files();
  EXPECT_EQ(files.at("ping").xattrs.at("security.capability"), capability);
  EXPECT_EQ(files.at("ping").xattrs.at("user.note"), "text");
  EXPECT_FALSE(files.at("ping").xattrs.contains("trusted.overlay.opaque"));
  EXPECT_TRUE(files.at("shared").xattrs.contains("system.posix_acl_access"));
  EXPECT_TRUE(files.at("shared").xattrs.contains("system.posix_acl_default"));
}

TEST(Flatten, KeepsHolesAndLeavesOutZeroBlocks) {
  std::string content(std::size_t{4} << 20, '\0');
  content.front() = 'a';
  content.back() = 'z';
  const Flattened image(
      {TarBuilder()
           .file("zeros", content)
           .sparse(testing::SparseFormat::pax_1_0, "sparse", testing::sparse_file(content))
           .finish()});
  const Files files = image.files();
  EXPECT_EQ(files.at("zeros").content, content);
  EXPECT_EQ(files.at("sparse").content, content);
  struct stat status {};
  ASSERT_EQ(::fstat(image.file.get(), &status), 0);
  EXPECT_LT(status.st_blocks * 512, 1 << 20);
}

TEST(Flatten, SameLayersGiveSameBytes) {
  std::vector<std::string> layers;
  for (int i = 0; i < 3; ++i) {
    TarBuilder tar;
    for (int k = 0; k < 500; ++k) {
      tar.file("d" + std::to_string(k % 7) + "/f" + std::to_string(k * (i + 1)),
               std::string(static_cast<std::size_t>(k * 37), static_cast<char>('a' + k % 26)));
    }
    layers.push_back(tar.whiteout("d1/f8").finish());
  }
  const auto bytes = [&] {
    const Flattened image(layers);
    return testing::read_file(image.path());
  };
  EXPECT_EQ(bytes(), bytes());
}

TEST(Flatten, RefusesWhatIsNoTarOrDamaged) {
  const std::string good = TarBuilder().file("a", std::string(5000, 'x')).finish();
  const std::string packed = compress(good, Compression::gzip);
  EXPECT_THAT(refusal_of_tars({"a text that is no archive at all"}), HasSubstr("not a tar"));
  EXPECT_THAT(refusal_of_tars({good, packed.substr(0, packed.size() / 2)}), Not(""));
  EXPECT_THAT(refusal_of_tars({good.substr(0, 3000)}), Not(""));
  EXPECT_THAT(refusal_of_tars({good + "more"}), HasSubstr("something follows its end"));
}

// Of a layer the digest says whether it is complete.
TEST(Flatten, RefusesArchiveCutOffBetweenTwoMembers) {
  const std::string cut = TarBuilder().file("a", "x").directory("b").unfinished();
  EXPECT_THAT(refusal_of_tars({cut}), HasSubstr("it is cut off"));
  EXPECT_THAT(refusal_of_tars({compress(cut, Compression::zstd)}), HasSubstr("it is cut off"));
  EXPECT_THAT(refusal_of_tars({std::string()}), HasSubstr("it is cut off"));
  EXPECT_EQ(refusal_of_tars({cut + std::string(512, '\0')}), "");
  EXPECT_EQ(refusal_of_tars({cut}, {}, Checksums::leave), "");
}

// At the first file where possible: what follows it is not even read.
TEST(Flatten, RefusesArchiveOfImages) {
  const std::string hex(64, 'a');
  const auto blob_first = [&](const std::string& name) {
    return TarBuilder().directory("blobs").file(name, "{}").unfinished() + "no header";
  };
  const std::string blob_last =
      TarBuilder().file("manifest.json", "[]").file(hex + ".json", "{}").finish();
  for (const std::string& tar :
       {blob_first("blobs/sha256/" + hex), blob_first("./blobs/sha256/" + hex),
        blob_first(hex + "/layer.tar"), blob_first("sha256:" + hex), blob_last}) {
    EXPECT_THAT(refusal_of_tars({tar}), HasSubstr("it is an archive of images"));
  }
  EXPECT_EQ(refusal_of_tars({blob_last}, {}, Checksums::leave), "") << "a layer may hold one";
}

TEST(Flatten, TakesFilesOfArchiveOfImagesAmongOthers) {
  const std::string blob = "blobs/sha256/" + std::string(64, 'a');
  EXPECT_EQ(refusal_of_tars({TarBuilder().file("etc/a", "1").file(blob, "{}").finish()}), "");
  EXPECT_EQ(
      refusal_of_tars({TarBuilder().file("manifest.json", "[]").file("oci-layout", "{}").finish()}),
      "");
}

TEST(Flatten, ErrorNamesThePath) {
  EXPECT_THAT(refusal_of_tars({TarBuilder().hardlink("usr/bin/a", "gone").finish()}),
              HasSubstr("cannot unpack 'usr/bin/a': it is a hard link to 'gone'"));
  EXPECT_THAT(refusal_of_tars({TarBuilder().file("../etc/passwd", "x").finish()}),
              HasSubstr("cannot unpack '../etc/passwd'"));
}

// --- the tree of a distribution ---

/// Kernel, initrd and file system of a tree.
struct Distribution {
  explicit Distribution(std::string tar, std::uint64_t size = 0) {
    std::vector<int> numbers;
    for (Fd& file : files) {
      file = make_memory_file("artifact");
      numbers.push_back(file.get());
    }
    MemoryLayers layers({std::move(tar)});
    for (const WrittenArtifact& artifact : flatten_distribution(layers, numbers, {}, size)) {
      EXPECT_EQ(artifact.file, artifact.kind * MergedView::kMaxCandidates);
      EXPECT_EQ(std::filesystem::file_size(path(artifact.kind)), artifact.size);
    }
  }

  [[nodiscard]] std::string path(std::size_t kind) const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" +
           std::to_string(files[kind * MergedView::kMaxCandidates].get());
  }
  [[nodiscard]] testing::ProcessResult run_on_rootfs(std::vector<std::string> argv) const {
    argv.push_back(path(kRootfs));
    return testing::run({.argv = std::move(argv), .clean_env = true});
  }

  std::array<Fd, MergedView::kFiles> files;
};

/// As mmdebstrap writes it.
TarBuilder distribution_tree() {
  TarBuilder tar;
  tar.directory("./").directory("./boot/").directory("./boot/pyro-initrd/");
  tar.directory("./boot/pyro-initrd/lib/").file("./boot/pyro-initrd/lib/a.ko", "module");
  tar.file("./boot/vmlinuz-6.1.0-cloud", testing::bz_image(compress("\x7f"
                                                                    "ELF kernel",
                                                                    Compression::gzip)));
  tar.directory("./etc/").file("./etc/hostname", "localhost\n");
  return tar;
}

std::string refusal_of_tree(const TarBuilder& tar, std::uint64_t size = 0) {
  try {
    static_cast<void>(Distribution(tar.finish(), size));
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

TEST(FlattenDistribution, TakesBootFilesOutOfTheTree) {
  const Distribution made(distribution_tree().finish());
  EXPECT_EQ(testing::read_file(made.path(kKernel)),
            "\x7f"
            "ELF kernel");
  const auto initrd = testing::run({.argv = {"bsdtar", "-tf", made.path(kInitrd)}});
  EXPECT_EQ(initrd.out, "lib\nlib/a.ko\n");
  EXPECT_EQ(testing::run({.argv = {"bsdtar", "-xOf", made.path(kInitrd), "lib/a.ko"}}).out,
            "module");
  EXPECT_EQ(made.run_on_rootfs({"/sbin/e2fsck", "-fn"}).exit_code, 0);
  EXPECT_THAT(listing(testing::Ext4Image(made.path(kRootfs)).files()),
              ElementsAre("boot/", "etc/", "etc/hostname = localhost\n"));
}

TEST(FlattenDistribution, QuarterOfTheContentIsFreeUnlessSizeIsGiven) {
  const std::string content(std::size_t{8} << 20, 'x');
  const std::string tree = distribution_tree().file("./big", content).finish();
  const auto size = std::filesystem::file_size(Distribution(tree).path(kRootfs));
  EXPECT_GE(size, content.size() + content.size() / 4);
  EXPECT_LT(size, content.size() + content.size() / 3);
  constexpr std::uint64_t kSize = (std::uint64_t{300} << 20) + 1;  // not whole blocks
  EXPECT_EQ(std::filesystem::file_size(Distribution(tree, kSize).path(kRootfs)), kSize + 4095);
  EXPECT_THAT(refusal_of_tree(distribution_tree().file("./big", content), std::uint64_t{8} << 20),
              HasSubstr("its file system takes 8 MiB, more than the 8 MiB asked for"));
}

TEST(FlattenDistribution, FreeSpaceTakesFiles) {
  const Distribution made(distribution_tree().finish(), std::uint64_t{40} << 20);
  const testing::TempDir dir;
  const std::string content(std::size_t{30} << 20, 'n');
  testing::write_file(dir / "new", content);
  std::string commands;
  for (int i = 0; i < 1000; ++i) commands += "mkdir d" + std::to_string(i) + "\n";
  testing::write_file(dir / "commands", commands + "write " + (dir / "new").string() + " new\n");
  const auto written =
      made.run_on_rootfs({"/sbin/debugfs", "-w", "-f", (dir / "commands").string()});
  EXPECT_THAT(written.err, Not(HasSubstr("Could not allocate"))) << written.err;
  const auto check = made.run_on_rootfs({"/sbin/e2fsck", "-fn"});
  EXPECT_EQ(check.exit_code, 0) << check.out;
  const Files files = testing::Ext4Image(made.path(kRootfs)).files();
  EXPECT_EQ(files.at("new").size, content.size());
  EXPECT_EQ(files.at("d999").type, 'd');
}

TEST(FlattenDistribution, RefusesTreesWithoutOneGoodKernel) {
  EXPECT_THAT(refusal_of_tree(TarBuilder().file("./etc/a", "x")),
              HasSubstr("the tree has no kernel"));
  EXPECT_THAT(refusal_of_tree(distribution_tree().file("./boot/vmlinuz-7", "x")),
              HasSubstr("'./boot/vmlinuz-7' is a second kernel"));
  EXPECT_THAT(refusal_of_tree(TarBuilder().file("./boot/vmlinuz-7", "x")),
              HasSubstr("cannot unpack its kernel: it is not a bzImage"));
  EXPECT_THAT(refusal_of_tree(TarBuilder().symlink("./boot/vmlinuz-7", "x")),
              HasSubstr("is not a regular file"));
  EXPECT_THAT(refusal_of_tree(distribution_tree().symlink("./boot/pyro-initrd/a", "b")),
              HasSubstr("is neither a file nor a directory"));
}

TEST(FlattenDistribution, RefusesBootFilesOfMoreThan256MiB) {
  const std::string tar = TarBuilder()
                              .tweak({.claimed_size = std::uint64_t{257} << 20})
                              .file("./boot/vmlinuz-7", "x")
                              .finish();
  try {
    static_cast<void>(Distribution(tar));
    ADD_FAILURE() << "was taken";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "kernel and initrd have more than 256 MiB");
  }
}

TEST(Flatten, RefusesMoreThanTheLimits) {
  const std::string tar = TarBuilder().file("big", std::string(std::size_t{3} << 20, 'x')).finish();
  EXPECT_THAT(refusal_of_tars({tar}, {.rootfs_bytes = std::uint64_t{2} << 20}),
              HasSubstr("its file system would take more than 2 MiB"));
  // Blocks of what a layer replaces are free, and count.
  EXPECT_THAT(refusal_of_tars({tar, tar, tar}, {.rootfs_bytes = std::uint64_t{8} << 20}),
              HasSubstr("its file system would take more than 8 MiB"));
}

TEST(Flatten, RefusesLayersThatUnpackToTooMuch) {
  const std::string zeros = TarBuilder().file("zeros", std::string(1 << 20, '\0')).finish();
  const std::vector<std::string> layers(8, compress(zeros, Compression::gzip));
  EXPECT_THAT(refusal_of_tars(layers, {.rootfs_bytes = 4 << 20, .other_bytes = 1 << 20}),
              HasSubstr("the layers unpack to more than 5 MiB"));
}

}  // namespace
}  // namespace pyro::image
