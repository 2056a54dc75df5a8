// Tests of the time to read an archive of 1 MiB. The output is bounded elsewhere.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <optional>
#include <utility>
#include <vector>

#include "base/files.h"
#include "image/flatten.h"
#include "oci/layout_files.h"
#include "oracle.h"
#include "sandbox/messages.h"
#include "stream/extract.h"
#include "support/compress.h"
#include "support/hash.h"
#include "support/tar_builder.h"
#include "unpacked.h"
#include "worst_input.h"

namespace pyro::fuzz {
namespace {

using testing::compress;
using testing::Compression;
using testing::TarBuilder;

Bytes bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// --- decompressors ---

/// In pieces of up to 2 KiB.
void compressed(const std::string& text) {
  static_cast<void>(unpack(bytes_of(text), 11));
}

std::string packed(Compression compression, std::string_view content = {}) {
  return compress(content, compression);
}

/// Bytes that do not compress.
std::string packed_noise(Compression compression) {
  return packed(compression, testing::noise(kMiB * 19 / 20));
}

const WorstInput kCompressed[] = {
    {"GzipOfNoise", compressed, [] { return packed_noise(Compression::gzip); }},
    {"ManyGzipMembers", compressed, [] { return filled(packed(Compression::gzip)); }},
    {"ManyGzipMembersOfAByte", compressed, [] { return filled(packed(Compression::gzip, "a")); }},
    {"ManyGzipMembersOfText", compressed,
     [] {
       return filled(packed(Compression::gzip, "abcdefghijklmnopqrstuvwxyz0123456789 abcdef"));
     }},
    {"GzipWithALongName", compressed,
     [] { return filled("a", std::string_view("\x1f\x8b\x08\x08\0\0\0\0\0\xff", 10)); }},
    {"EmptyDeflateBlocks", compressed,
     [] {
       return filled(std::string_view("\0\0\0\xff\xff", 5),
                     std::string_view("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10));
     }},
    {"ZstdOfNoise", compressed, [] { return packed_noise(Compression::zstd); }},
    {"ManyZstdFrames", compressed, [] { return filled(packed(Compression::zstd)); }},
    {"ManyZstdFramesOfAByte", compressed, [] { return filled(packed(Compression::zstd, "a")); }},
    {"ManySkippableFrames", compressed, [] { return filled(testing::zstd_skippable_frame(0)); }},
    {"ManyZstdWindows", compressed, [] { return filled(testing::zstd_with_window("a", 27)); }},
    {"ManyZstdBlocks", compressed,
     [] { return filled(testing::zstd_block(0, 1, "a", false), testing::zstd_frame("")); }},
    {"ManyEmptyZstdBlocks", compressed,
     [] { return filled(testing::zstd_block(0, 0, "", false), testing::zstd_frame("")); }},
    {"XzOfNoise", compressed, [] { return packed_noise(Compression::xz); }},
    {"ManyXzStreams", compressed, [] { return filled(packed(Compression::xz)); }},
    {"ManyXzStreamsOfAByte", compressed, [] { return filled(packed(Compression::xz, "a")); }},
    {"Bzip2OfNoise", compressed, [] { return packed_noise(Compression::bzip2); }},
    {"ManyBzip2Streams", compressed, [] { return filled(packed(Compression::bzip2)); }},
    {"ManyBzip2StreamsOfAByte", compressed, [] { return filled(packed(Compression::bzip2, "a")); }},
};

// --- archives ---

class OneLayer final : public LayerStream {
 public:
  explicit OneLayer(ByteSource source) : source_(std::move(source)) {}
  std::optional<LayerForm> next_layer() override {
    if (std::exchange(begun_, true)) return std::nullopt;
    return LayerForm{.checksums = Checksums::leave};
  }
  std::span<const std::byte> next() override { return source_(); }

 private:
  ByteSource source_;
  bool begun_ = false;
};

void layer(const std::string& text) {
  std::vector<Fd> files;
  std::vector<int> numbers;
  for (std::size_t i = 0; i < MergedView::kFiles; ++i) {
    files.push_back(make_memory_file("an artifact"));
    numbers.push_back(files.back().get());
  }
  OneLayer layer(in_pieces(bytes_of(text), 0));
  static_cast<void>(extract_layers(layer, numbers, {}, {}));
}

void layout_tar(const std::string& text) {
  const Fd file = make_memory_file("a tar");
  pwrite_all(file.get(), bytes_of(text), 0, "a tar");
  static_cast<void>(TarIndex(file.get(), "x.tar").find("index.json"));
}

/// Members until 1 MiB is full.
std::string tar_of(const std::function<void(TarBuilder& tar, std::size_t number)>& add) {
  TarBuilder tar;
  std::size_t room = kMiB;
  for (std::size_t number = 0;; ++number) {
    TarBuilder one;
    add(one, number);
    const std::string member = one.unfinished();
    if (member.size() + 1024 > room) return tar.finish();
    tar.raw(member);
    room -= member.size();
  }
}

const std::string& long_path() {
  static const std::string path = filled("a/").substr(0, 60'000) + "b";
  return path;
}

/// As a layer of a container image, and once more above it.
void image_layers(const std::string& text) {
  class Twice final : public LayerStream {
   public:
    explicit Twice(Bytes bytes) : bytes_(bytes) {}
    std::optional<LayerForm> next_layer() override {
      if (++layer_ > 2) return std::nullopt;
      source_ = in_pieces(bytes_, 0);
      return LayerForm{.checksums = Checksums::leave};
    }
    std::span<const std::byte> next() override { return source_(); }

   private:
    Bytes bytes_;
    int layer_ = 0;
    ByteSource source_;
  } layers(bytes_of(text));
  const Fd file = make_memory_file("rootfs.ext4");
  static_cast<void>(image::flatten_layers(layers, file.get(), {}));
}

/// `count` names below each other.
std::string nested(std::size_t count) {
  std::string path;
  for (std::size_t i = 0; i < count; ++i) path += "a/";
  return path;
}

/// Zeros may follow an archive.
std::string padded(std::string archive) {
  archive.resize(kMiB);
  return archive;
}

/// Every other block of a file of which nothing is zero.
testing::SparseFile scattered(std::int64_t extents) {
  testing::SparseFile file{.size = extents * 2, .extents = {}, .stored = {}};
  for (std::int64_t at = 0; at < extents; ++at) file.extents.push_back({at * 2, 1});
  file.stored = std::string(static_cast<std::size_t>(extents), 'x');
  return file;
}

const WorstInput kArchives[] = {
    {"ManyFiles", layer,
     [] { return tar_of([](TarBuilder& tar, auto i) { tar.file(std::to_string(i), ""); }); }},
    {"ManyFolders", layer,
     [] { return tar_of([](TarBuilder& tar, auto i) { tar.directory(std::to_string(i)); }); }},
    {"ManyWhiteouts", layer,
     [] { return tar_of([](TarBuilder& tar, auto i) { tar.whiteout(std::to_string(i)); }); }},
    {"ManyLinks", layer,
     [] { return tar_of([](TarBuilder& tar, auto i) { tar.symlink(std::to_string(i), "a"); }); }},
    {"LongPaths", layer,
     [] {
       return tar_of([](TarBuilder& tar, auto) { tar.pax({{"path", long_path()}}).file("a", ""); });
     }},
    {"LongLinks", layer,
     [] {
       return tar_of(
           [](TarBuilder& tar, auto) { tar.gnu_long_link(long_path()).symlink("a", "b"); });
     }},
    {"ManyPaxRecords", layer,
     [] {
       testing::PaxRecords records;
       for (int i = 0; i < 60'000; ++i) records.emplace_back("a" + std::to_string(i), "b");
       return padded(TarBuilder().pax(records).file("a", "").finish());
     }},
    {"ManyPaths", layer,
     [] {
       testing::PaxRecords records;
       for (int i = 0; i < 60'000; ++i) records.emplace_back("path", "bbbb");
       return padded(TarBuilder().pax(records).file("a", "").finish());
     }},
    {"ManyAttributes", layer,
     [] {
       testing::PaxRecords records;
       for (int i = 0; i < 30'000; ++i) {
         records.emplace_back("SCHILY.xattr.user.a" + std::to_string(i), "b");
       }
       return padded(TarBuilder().pax(records).file("a", "").finish());
     }},
    {"ManyHoles", layer,
     [] {
       return padded(TarBuilder()
                         .sparse(testing::SparseFormat::pax_1_0, "rootfs.ext4", scattered(70'000))
                         .finish());
     }},
    {"ManyHolesOfGnu", layer,
     [] {
       return padded(TarBuilder()
                         .sparse(testing::SparseFormat::gnu_old, "rootfs.ext4", scattered(37'000))
                         .finish());
     }},
    {"ManyHolesInAHeader", layer,
     [] {
       return padded(TarBuilder()
                         .sparse(testing::SparseFormat::pax_0_1, "rootfs.ext4", scattered(60'000))
                         .finish());
     }},
    {"ZerosOnly", layer, [] { return std::string(kMiB, '\0'); }},
    {"NoiseOnly", layer, [] { return testing::noise(kMiB); }},
    {"ManyFilesOfAnImage", image_layers,
     [] { return tar_of([](TarBuilder& tar, auto i) { tar.file(std::to_string(i), ""); }); }},
    {"ManyBlocksOfAnImage", image_layers,
     [] { return tar_of([](TarBuilder& tar, auto i) { tar.file(std::to_string(i), "a"); }); }},
    {"DeepPathsOfAnImage", image_layers,
     [] {
       return tar_of([](TarBuilder& tar, auto i) {
         const std::string path = nested(500) + std::to_string(i);
         tar.pax({{"path", path}}).file("a", "");
       });
     }},
    {"WhiteoutsOfATree", image_layers,
     [] {
       return tar_of([](TarBuilder& tar, auto i) {
         if (i % 2 == 0) {
           tar.file("a/" + std::to_string(i), "");
         } else {
           tar.opaque_whiteout("a");
         }
       });
     }},
    {"LinksToLinksOfAnImage", image_layers,
     [] {
       return tar_of([](TarBuilder& tar, auto i) {
         if (i < 39) {
           tar.symlink("l" + std::to_string(i + 1), "l" + std::to_string(i));
         } else if (i == 39) {
           tar.directory("l0");
         } else {
           tar.file("l39/" + std::to_string(i), "");
         }
       });
     }},
    {"ManyHardLinksOfAnImage", image_layers,
     [] {
       return tar_of([](TarBuilder& tar, auto i) {
         if (i == 0) {
           tar.file("0", "a");
         } else {
           tar.hardlink(std::to_string(i), std::to_string(i - 1));
         }
       });
     }},
    {"ManyAttributesOfAnImage", image_layers,
     [] {
       testing::PaxRecords records;
       for (int i = 0; i < 30'000; ++i) {
         records.emplace_back("SCHILY.xattr.user.a" + std::to_string(i), "b");
       }
       return padded(TarBuilder().pax(records).file("a", "").finish());
     }},
    {"LongAccessListOfAnImage", image_layers,
     [] {
       return padded(TarBuilder()
                         .pax({{"SCHILY.acl.access", filled("user:1:rwx,").substr(0, 1'000'000)}})
                         .file("a", "")
                         .finish());
     }},
    {"ManyFilesOfALayout", layout_tar,
     [] { return tar_of([](TarBuilder& tar, auto i) { tar.file(std::to_string(i), ""); }); }},
    {"LongPathsOfALayout", layout_tar,
     [] {
       return tar_of([](TarBuilder& tar, auto i) {
         tar.pax({{"path", long_path() + std::to_string(i)}}).file("a", "");
       });
     }},
    {"ManyPathsOfALayout", layout_tar,
     [] {
       testing::PaxRecords records;
       for (int i = 0; i < 4'000; ++i) records.emplace_back("path", "bbbb");
       return tar_of([&](TarBuilder& tar, auto) { tar.pax(records).directory("a"); });
     }},
    {"ManyLongNamesOfALayout", layout_tar,
     [] { return tar_of([](TarBuilder& tar, auto) { tar.gnu_long_name(long_path()); }); }},
};

// --- the extractor ---

void message(const std::string& text) {
  static_cast<void>(decode(bytes_of(text)));
}

const WorstInput kMessages[] = {
    {"ReadyOfAnotherProtocol", message, [] { return filled("\xff", std::string_view("\0", 1)); }},
    {"Success", message, [] { return filled(std::string_view("\0", 1), "\x02"); }},
    {"Failure", message, [] { return filled(std::string_view("\0", 1), "\x03"); }},
};

constexpr auto kNameOf = [](const auto& row) { return std::string(row.param.name); };

class ArchiveTimeTest : public ParsingTimeTest {};

TEST_P(ArchiveTimeTest, TakesAtMost1sFor1MiB) {
  expect_in_time(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Compressed, ArchiveTimeTest, ::testing::ValuesIn(kCompressed), kNameOf);
INSTANTIATE_TEST_SUITE_P(Archives, ArchiveTimeTest, ::testing::ValuesIn(kArchives), kNameOf);
INSTANTIATE_TEST_SUITE_P(Messages, ArchiveTimeTest, ::testing::ValuesIn(kMessages), kNameOf);

}  // namespace
}  // namespace pyro::fuzz
