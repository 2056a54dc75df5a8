// Content of layers: damaged compression and members that must be refused, and odd ones that must
// be accepted.
#include <gtest/gtest.h>

#include "scenarios/hostile_harness.h"
#include "support/artifacts.h"
#include "support/hash.h"

namespace pyro::testing {
namespace {

using Make = std::function<void(ImageBuilder&)>;

struct Layer {
  const char* name;
  Make make;
  std::vector<std::string> says = {};

  friend void PrintTo(const Layer& self, std::ostream* out) { *out << self.name; }
};

/// Built when the test runs: each test is a process, which would otherwise build all layers.
Make late(Make (*make)()) {
  return [make](ImageBuilder& image) { make()(image); };
}

TarBuilder good_artifacts() {
  return TarBuilder().file("vmlinux", sample().kernel).file("rootfs.ext4", sample().rootfs);
}

Make bytes(const std::string& bytes) {
  return [bytes](ImageBuilder& image) {
    image.raw_layer(bytes, layer_media_type(ImageFormat::oci, Compression::gzip));
  };
}

Make tar(const TarBuilder& tar) {
  return [tar](ImageBuilder& image) { image.layer(tar.finish()); };
}

/// Adds a member in front of a good environment.
Make first(const std::function<void(TarBuilder&)>& add) {
  return [add](ImageBuilder& image) {
    TarBuilder built;
    add(built);
    tar(built.file("vmlinux", sample().kernel).file("rootfs.ext4", sample().rootfs))(image);
  };
}

Make after_good(const std::function<void(TarBuilder&)>& add) {
  return [add](ImageBuilder& image) {
    TarBuilder built = good_artifacts();
    add(built);
    tar(built)(image);
  };
}

/// The root file system with a header as `tweaks` says.
Make rootfs_header(const HeaderTweaks& tweaks) {
  return tar(TarBuilder().file("vmlinux", "k").tweak(tweaks).file("rootfs.ext4", "data"));
}

/// The size field, twelve bytes of any kind.
Make rootfs_size(const std::string& field) {
  return rootfs_header({.patches = {{124, field}}});
}

Make pax_before_rootfs(const std::string& body) {
  return tar(TarBuilder().file("vmlinux", "k").pax_raw(body).file("rootfs.ext4", "data"));
}

std::string gzip_of(const std::string& text) {
  return compress(text, Compression::gzip);
}

std::string with_byte_changed(std::string text, std::size_t from_end) {
  text[text.size() - from_end] = static_cast<char>(text[text.size() - from_end] ^ 1);
  return text;
}

/// A zstd frame of runs: 128 KiB of zeros in four bytes, `count` times.
std::string zstd_bomb(std::size_t count) {
  std::string frame("\x28\xb5\x2f\xfd\x00\x58", 6);  // a window of 2 MiB, no size, no checksum
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t header = (128U * 1024U << 3) | (1U << 1) | (i + 1 == count ? 1U : 0U);
    for (int shift = 0; shift < 24; shift += 8) frame += static_cast<char>(header >> shift & 0xff);
    frame += '\0';
  }
  return frame;
}

/// The size of the dictionary stands in the header of the first block, which has a checksum.
std::string xz_with_dictionary_of_512mib() {
  std::string packed = compress(good_artifacts().finish(), Compression::xz);
  const std::size_t header = 12;
  const std::size_t size = (static_cast<unsigned char>(packed[header]) + 1U) * 4 - 4;
  packed[packed.find("\x21\x01", header) + 2] = 34;
  const std::uint32_t crc = crc32(std::string_view(packed).substr(header, size));
  for (std::size_t i = 0; i < 4; ++i) {
    packed[header + size + i] = static_cast<char>(crc >> (8 * i) & 0xff);
  }
  return packed;
}

std::string repeated_text(const std::string& text, int times) {
  std::string all;
  all.reserve(text.size() * static_cast<std::size_t>(times));
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

Make sparse(SparseFormat format, const SparseFile& file) {
  return tar(TarBuilder().file("vmlinux", sample().kernel).sparse(format, "rootfs.ext4", file));
}

SparseFile scattered(int extents) {
  SparseFile file{.size = std::int64_t{extents} * 8192, .extents = {{1080, 2}}};
  for (int i = 1; i < extents; ++i) file.extents.push_back({std::int64_t{i} * 8192, 1});
  file.stored = "\x53\xef" + std::string(static_cast<std::size_t>(extents) - 1, 'x');
  return file;
}

const std::vector<Layer> kRefusedLayers = {
    // Compressed bytes.
    {"GzipCutInItsHeader",
     late([] { return bytes(gzip_of(good_artifacts().finish()).substr(0, 7)); }),
     {"gzip"}},
    {"GzipWithAWrongChecksumOfItsHeader",
     late([] {
       return bytes(
           gzip_with_fields(good_artifacts().finish(), {.checksum = true}).replace(9, 1, "\x55"));
     }),
     {"gzip data is damaged: the checksum of its header does not match"}},
    {"GzipTrailerWithWrongSize",
     late([] { return bytes(with_byte_changed(gzip_of(good_artifacts().finish()), 2)); }),
     {"gzip"}},
    {"GzipInGzip",
     late([] { return bytes(gzip_of(gzip_of(good_artifacts().finish()))); }),
     {"not a tar archive, it is gzip data"}},
    {"GzipOfAnotherMethod",
     late([] { return bytes("\x1f\x8b\x07" + std::string(100, 'x')); }),
     {"gzip"}},
    {"ZstdOnlySkippableFrames",
     late([] { return bytes(zstd_skippable_frame(5000)); }),
     {"did not contain"}},
    {"CompressedArtifactCutOff",
     late([] {
       return tar(
           TarBuilder()
               .file("vmlinux", "k")
               .file("rootfs.ext4.xz", compress(sample().rootfs, Compression::xz).substr(0, 6)));
     }),
     {"layer 1 of 1", "cannot unpack 'rootfs.ext4.xz'", "xz data ends too early"}},
    {"CompressedArtifactTooLarge",
     late([] {
       return tar(
           TarBuilder().file("vmlinux.zst", zstd_bomb((1UL << 13) + 1)).file("rootfs.ext4", "r"));
     }),
     {"'vmlinux.zst' would take", "the limit is 1024 MiB"}},
    {"ZstdWindowOf2GiB",
     late(
         [] { return bytes(std::string("\x28\xb5\x2f\xfd\x00\xa8", 6) + std::string(100, '\0')); }),
     {"window"}},
    {"ZstdReservedBlock",
     late([] { return bytes(std::string("\x28\xb5\x2f\xfd\x00\x58\x07\x00\x00", 9)); }),
     {"zstd"}},
    {"ZstdWithADictionary",
     late([] { return bytes(std::string("\x28\xb5\x2f\xfd\x01\x58\x2a\x01\x00\x00\x00", 11)); }),
     {"layer 1 of 1"}},
    {"ZstdContentSizeMismatch",
     late([] { return bytes(std::string("\x28\xb5\x2f\xfd\x20\x05\x09\x00\x00", 9) + "ab"); }),
     {"zstd"}},
    {"XzWithAWrongCheck",
     late([] {
       return bytes(with_byte_changed(compress(good_artifacts().finish(), Compression::xz), 30));
     }),
     {"xz"}},
    {"XzDictionaryTooLarge",
     late([] { return bytes(xz_with_dictionary_of_512mib()); }),
     {"128 MiB of memory"}},
    {"Lz4",
     late([] { return bytes("\x04\x22\x4d\x18" + noise(2000)); }),
     {"it is lz4 data", "pyro reads tar"}},
    {"Zip", late([] { return bytes("PK\x03\x04" + noise(2000)); }), {"it is a zip archive"}},
    {"SevenZip",
     late([] { return bytes("7z\xbc\xaf\x27\x1c" + noise(2000)); }),
     {"it is a 7z archive"}},
    {"Qcow2", late([] { return bytes("QFI\xfb" + noise(2000)); }), {"it is a qcow2 disk image"}},
    {"FileSystem",
     late([] { return bytes(sample().rootfs); }),
     {"it is an ext2, ext3 or ext4 file system"}},
    {"LfsPointer",
     late([] {
       return bytes("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
     }),
     {"it is a Git LFS pointer"}},
    {"Json",
     late([] { return bytes(R"({"critical": {"type": "cosign container image signature"}})"); }),
     {"JSON"}},
    {"BombInMemberBesideArtifacts",
     [](ImageBuilder& image) {
       const std::string head =
           TarBuilder()
               .tweak({.claimed_size = std::uint64_t{20} << 30, .base256_size = true})
               .file("big", "")
               .unfinished();
       bytes(compress(head, Compression::zstd) + zstd_bomb(20UL << 13))(image);
     },
     {"unpacks to more than 16384 MiB"}},
    {"HeaderOfAGibibyte",
     [](ImageBuilder& image) {
       const std::string head = TarBuilder()
                                    .tweak({.claimed_size = std::uint64_t{1} << 30, .type = 'L'})
                                    .file("././@LongLink", "")
                                    .unfinished();
       bytes(compress(head, Compression::zstd) + zstd_bomb(1UL << 13))(image);
     },
     {"layer 1 of 1"}},
    // Names.
    {"NotUtf8AndUpwards", first([](TarBuilder& t) { t.file("\xff/../../x", "x"); }), {"'..'"}},
    {"EscapeSequenceInAName",
     first([](TarBuilder& t) { t.fifo("\x1b[2J\x07/vmlinux"); }),
     {"FIFO"}},
    {"PrefixAndName",
     first([](TarBuilder& t) { t.tweak({.prefix = "a/.."}).file("x", "x"); }),
     {"'..'"}},
    {"DotDotBehindManyFolders",
     first([](TarBuilder& t) {
       const std::string deep = repeated_text(std::string(254, 'd') + "/", 17);
       t.gnu_long_name(deep + "../x").file("x", "x");
     }),
     {"'..'"}},
    // Links.
    {"ParentFolderIsALinkUpwards",
     late([] {
       return tar(
           TarBuilder().symlink("d", "..").file("d/vmlinux", "k").file("d/rootfs.ext4", "r"));
     }),
     {"points out of the archive"}},
    {"HardlinkWithData",
     late([] {
       return tar(
           TarBuilder().member('1', "rootfs.ext4", "evil", "/etc/passwd").file("vmlinux", "k"));
     }),
     {"damaged tar archive"}},
    {"PaxLinkPath",
     late([] {
       return tar(TarBuilder()
                      .pax({{"linkpath", "../../../etc"}})
                      .symlink("vmlinux", "x")
                      .file("x", "k")
                      .file("rootfs.ext4", "r"));
     }),
     {"points out of the archive"}},
    {"LongLinkUpwards",
     late([] {
       return tar(TarBuilder()
                      .gnu_long_link(repeated_text("x/../", 40) + "../../etc")
                      .symlink("vmlinux", "x")
                      .file("rootfs.ext4", "r"));
     }),
     {"points out of the archive"}},
    {"LinkNamesAbove12MiB",
     [](ImageBuilder& image) {
       TarBuilder links = good_artifacts();
       const std::string target(4000, 't');
       for (int i = 0; i < 4000; ++i) {
         links.gnu_long_link(target).symlink(std::to_string(i), "x");
       }
       image.layer(links.finish(), Compression::zstd);
     },
     {"the names of its links take more than 12 MiB"}},
    // Headers.
    {"SizeNegative",
     late([] { return rootfs_size("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xf0"); }),
     {"layer 1"}},
    {"SizeOf63Bits",
     late(
         [] { return rootfs_size(std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12)); }),
     {"layer 1"}},
    {"SizeBeyond64Bits",
     late([] { return rootfs_size("\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"); }),
     {"layer 1"}},
    {"LongNameOf8GiB",
     late([] {
       return tar(TarBuilder()
                      .tweak({.claimed_size = std::uint64_t{8} << 30, .base256_size = true})
                      .member('L', "././@LongLink", "x")
                      .file("vmlinux", "k"));
     }),
     {"layer 1"}},
    {"LongNameCutOff",
     [](ImageBuilder& image) {
       image.layer(good_artifacts().unfinished() +
                   TarBuilder().gnu_long_name(std::string(2000, 'a')).unfinished().substr(0, 700));
     },
     {"tar"}},
    {"PaxRecordLengthTooLarge",
     late([] { return pax_before_rootfs("9999999999 path=x\n"); }),
     {"layer 1"}},
    {"PaxRecordWithoutEnd",
     late([] { return pax_before_rootfs("20 path=xxxxxxxxxxxx"); }),
     {"layer 1"}},
    {"PaxRecordOfLengthZero", late([] { return pax_before_rootfs("0 path=x\n"); }), {"layer 1"}},
    {"PaxSizeNegative",
     late([] {
       return tar(
           TarBuilder().file("vmlinux", "k").pax({{"size", "-1"}}).file("rootfs.ext4", "data"));
     }),
     {"layer 1"}},
    // Sparse maps.
    {"SparseMapMalformed",
     late([] {
       return pax_before_rootfs(pax_record("GNU.sparse.map", "1,2,x,y") +
                                pax_record("GNU.sparse.size", "100"));
     }),
     {"layer 1"}},
    {"SparseNegative",
     late([] {
       return sparse(SparseFormat::pax_0_1,
                     {.size = 9000, .extents = {{-4096, 4}}, .stored = "data"});
     }),
     {"layer 1"}},
    // Invalid artifacts.
    {"EmptyKernel",
     late(
         [] { return tar(TarBuilder().file("vmlinux", "").file("rootfs.ext4", sample().rootfs)); }),
     {"vmlinux is empty"}},
    {"EmptyRootfs",
     late(
         [] { return tar(TarBuilder().file("vmlinux", sample().kernel).file("rootfs.ext4", "")); }),
     {"rootfs.ext4 is empty"}},
    {"EmptyInitrd", after_good([](TarBuilder& t) { t.file("initrd.img", ""); }), {"is empty"}},
    {"KernelOfNoise",
     late([] {
       return tar(TarBuilder().file("vmlinux", noise(5000)).file("rootfs.ext4", sample().rootfs));
     }),
     {"vmlinux holds no kernel", "ELF file or a bzImage"}},
    {"KernelThatIsAFileSystem",
     late([] {
       return tar(
           TarBuilder().file("vmlinux", sample().rootfs).file("rootfs.ext4", sample().rootfs));
     }),
     {"vmlinux holds no kernel: it is an ext2, ext3 or ext4 file system"}},
    {"RootfsOfZeros",
     late([] {
       return tar(TarBuilder()
                      .file("vmlinux", sample().kernel)
                      .file("rootfs.ext4", std::string(1 << 20, '\0')));
     }),
     {"rootfs.ext4 holds no file system"}},
    {"RootfsThatIsAKernel",
     late([] {
       return tar(
           TarBuilder().file("vmlinux", sample().kernel).file("rootfs.ext4", sample().kernel));
     }),
     {"rootfs.ext4 holds no file system: it is an ELF file"}},
    {"RootfsThatIsATar",
     late([] {
       return tar(TarBuilder()
                      .file("vmlinux", sample().kernel)
                      .file("rootfs.ext4", good_artifacts().finish()));
     }),
     {"rootfs.ext4 holds no file system: it is a tar archive"}},
    // Ends.
    {"MemberAfterOneEndBlock",
     [](ImageBuilder& image) {
       image.layer(good_artifacts().unfinished() + std::string(512, '\0') +
                   TarBuilder().file("vmlinux", "evil").finish());
     },
     {"layer 1"}},
    {"CutInTheData",
     [](ImageBuilder& image) {
       const std::string whole = good_artifacts().unfinished();
       image.layer(whole.substr(0, whole.size() - 600));
     },
     {"tar"}},
    {"AllZeros", [](ImageBuilder& image) { image.layer(std::string(1 << 20, '\0')); }, {"vmlinux"}},
    {"Of511Bytes",
     [](ImageBuilder& image) { image.layer(good_artifacts().finish().substr(0, 511)); },
     {"tar"}},
    {"GibibytesOfZeros", late([] { return bytes(zstd_bomb(2UL << 13)); }), {"vmlinux"}},
    {"AHundredThousandFolders",
     [](ImageBuilder& image) {
       const std::string one = TarBuilder().directory("d").unfinished();
       image.layer(good_artifacts().raw(repeated_text(one, 100'000)).finish());
     },
     {"100000 members"}},
};

class RefusedLayer : public HostileHarness, public ::testing::WithParamInterface<Layer> {
 protected:
  void set_scene() {
    ImageBuilder image;
    GetParam().make(image);
    offer(image.build());
  }
};

TEST_P(RefusedLayer, ChangesNothing) {
  set_scene();
  expect_refused(5, GetParam().says);
}

TEST_P(RefusedLayer, LeavesAnInstallAlone) {
  set_scene();
  expect_refused_over_an_install(5, GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(Layers, RefusedLayer, ::testing::ValuesIn(kRefusedLayers), row_name);

// --- accepted layers ---

const std::vector<Layer> kToleratedLayers = {
    {"GzipWithAnExtraField", late([] {
       return bytes(
           gzip_with_fields(good_artifacts().finish(), {.extra = std::string(0xffff, 'x')}));
     })},
    {"GzipWithAllFields", late([] {
       return bytes(gzip_with_fields(
           good_artifacts().finish(),
           {.extra = "x", .name = "layer.tar", .comment = "of a test", .checksum = true}));
     })},
    {"GzipWithZerosBehind",
     late([] { return bytes(gzip_of(good_artifacts().finish()) + std::string(5000, '\0')); })},
    {"ZstdOfTenThousandEmptyFrames", late([] {
       return bytes(repeated_text(compress("", Compression::zstd), 10'000) +
                    compress(good_artifacts().finish(), Compression::zstd));
     })},
    {"PlainUnderTheTypeOfGzip", late([] { return bytes(good_artifacts().finish()); })},
    {"XzUnderTheTypeOfGzip",
     late([] { return bytes(compress(good_artifacts().finish(), Compression::xz)); })},
    {"WithDotSlash", late([] {
       return tar(TarBuilder()
                      .file("./vmlinux", sample().kernel)
                      .file("././rootfs.ext4", sample().rootfs));
     })},
    {"NamesSimilarToArtifacts", first([](TarBuilder& t) {
       t.file("ROOTFS.EXT4", "x").file("rootfs.ext4.bak", "x").file(" vmlinux", "x");
     })},
    {"NamesNotUtf8", first([](TarBuilder& t) { t.file("\xff\xfe\x80", "x"); })},
    {"NameOf4097Bytes",
     first([](TarBuilder& t) { t.gnu_long_name(std::string(4097, 'n')).file("n", "x"); })},
    {"NameOf100BytesWithoutEnd", first([](TarBuilder& t) { t.file(std::string(100, 'n'), "x"); })},
    {"FoldersOfAllModes", first([](TarBuilder& t) {
       t.tweak({.mode = 0}).directory("closed").tweak({.mode = 07777}).directory("open");
     })},
    {"LinksInside", first([](TarBuilder& t) {
       t.symlink("lib", "usr/lib").symlink("a/b", "../usr").hardlink("h", "vmlinux");
     })},
    {"LinksToOutside", first([](TarBuilder& t) {
       t.symlink("lib/modules/6.1/build", "/usr/src/linux-headers-6.1")
           .symlink("a/link", "../../etc")
           .hardlink("hard", "../x")
           .hardlink("passwd", "/etc/passwd")
           .symlink("deep/vmlinux", "/boot/vmlinux");
     })},
    {"LinkNamedDot", first([](TarBuilder& t) { t.symlink(".", "/"); })},
    {"DevicesAndFifos", first([](TarBuilder& t) {
       t.char_device("dev/null").block_device("dev/sda").fifo("run/pipe");
     })},
    {"KernelIsASymlink", late([] {
       return tar(TarBuilder()
                      .file("rootfs.ext4", sample().rootfs)
                      .symlink("vmlinux", "boot/k")
                      .file("boot/k", sample().kernel));
     })},
    {"KernelIsASymlinkBehindItsTarget", late([] {
       return tar(TarBuilder()
                      .file("boot/k", sample().kernel)
                      .symlink("vmlinux", "boot/k")
                      .file("rootfs.ext4", sample().rootfs));
     })},
    {"RootfsIsAHardlink", late([] {
       return tar(TarBuilder()
                      .file("r", sample().rootfs)
                      .hardlink("rootfs.ext4", "r")
                      .file("vmlinux", sample().kernel));
     })},
    {"LinkThenFileOfItsName", first([](TarBuilder& t) { t.symlink("vmlinux", "/etc/passwd"); })},
    {"DuplicateArtifact", first([](TarBuilder& t) { t.file("vmlinux", "older"); })},
    {"DuplicateArtifactByAnotherSpelling",
     first([](TarBuilder& t) { t.file("./rootfs.ext4", noise(100'000)); })},
    {"EmptyLayers",
     [](ImageBuilder& image) {
       bytes("")(image);
       bytes(gzip_of(""))(image);
       image.layer(good_artifacts().finish()).layer("", Compression::zstd);
     }},
    {"ArtifactsThatAreCompressed", late([] {
       return tar(TarBuilder()
                      .file("vmlinux.gz", gzip_of(sample().kernel))
                      .file("rootfs.ext4.xz", compress(sample().rootfs, Compression::xz)));
     })},
    {"FolderOverALink", first([](TarBuilder& t) { t.symlink("d", "usr").directory("d"); })},
    {"ContiguousFiles", late([] {
       return tar(TarBuilder()
                      .member('7', "vmlinux", sample().kernel)
                      .member('7', "rootfs.ext4", sample().rootfs));
     })},
    {"UnknownPaxKeys", first([](TarBuilder& t) {
       t.pax({{"VENDOR.key", "value"}, {"SCHILY.xattr.user.x", "y"}}).file("x", "x");
     })},
    {"PaxSizeInsteadOfTheHeaders", late([] {
       return tar(TarBuilder()
                      .file("vmlinux", sample().kernel)
                      .pax({{"size", std::to_string(sample().rootfs.size())}})
                      .tweak({.claimed_size = 0})
                      .file("rootfs.ext4", sample().rootfs));
     })},
    {"OldHeaders", late([] {
       return tar(TarBuilder()
                      .tweak({.magic = TarMagic::v7})
                      .file("vmlinux", sample().kernel)
                      .file("rootfs.ext4", sample().rootfs));
     })},
    // libarchive ends a name at a zero byte and ignores global names.
    {"ZeroByteInAPaxPath", late([] {
       return tar(TarBuilder()
                      .file("vmlinux", sample().kernel)
                      .pax({{"path", std::string("rootfs.ext4\0evil", 16)}})
                      .file("x", sample().rootfs));
     })},
    {"GlobalPaxPathUpwards", first([](TarBuilder& t) {
       t.pax_global({{"path", "../../x"}}).file("x", "x");
     })},
    {"GibibytesOfZerosBehindTheEnd", late([] {
       return bytes(compress(good_artifacts().finish(), Compression::zstd) + zstd_bomb(2UL << 13));
     })},
    {"WithoutEndBlocks", [](ImageBuilder& image) { image.layer(good_artifacts().unfinished()); }},
    {"MegabytesOfEndBlocks",
     [](ImageBuilder& image) {
       image.layer(good_artifacts().finish() + std::string(8 << 20, '\0'));
     }},
};

class ToleratedLayer : public HostileHarness, public ::testing::WithParamInterface<Layer> {};

TEST_P(ToleratedLayer, IsInstalled) {
  ImageBuilder image;
  GetParam().make(image);
  offer(image.build());
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(sample());
  EXPECT_EQ(pyro_json({"env", "verify", "tool:1"})[0]["status"], "ok");
}

INSTANTIATE_TEST_SUITE_P(Layers, ToleratedLayer, ::testing::ValuesIn(kToleratedLayers), row_name);

class LayerContentTest : public HostileHarness {};

TEST_F(LayerContentTest, InstallsSparseFileOf30000Extents) {
  ImageBuilder image;
  sparse(SparseFormat::pax_1_0, scattered(30'000))(image);
  offer(image.build());
  pyro_ok({"env", "pull", "tool:1"});
}

TEST_F(LayerContentTest, IdentifiesArtifactsByFirstBytesOnly) {
  const Artifacts odd{.kernel = kernel_with("k"), .rootfs = file_system_with("x")};
  offer(image_of(odd));
  pyro_ok({"env", "pull", "tool:1"});
  expect_installed(odd);
}

}  // namespace
}  // namespace pyro::testing
