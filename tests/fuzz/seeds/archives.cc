// Seeds of archives.
#include <vector>

#include "seeds/corpus.h"
#include "support/compress.h"
#include "support/hash.h"
#include "support/images.h"
#include "support/tar_builder.h"

namespace pyro::testing {
namespace {

/// Zeros that a sparse file leaves out, between data that fills no block.
std::string holey() {
  return "head" + std::string(9000, '\0') + "middle" + std::string(5000, '\0') + "tail";
}

struct Archive {
  std::string name;
  std::string bytes;
};

std::vector<Archive> archives() {
  std::vector<Archive> all = {
      {"plain", TarBuilder().file("vmlinux", "kernel").file("rootfs.ext4", "root").finish()},
      {"kinds", TarBuilder()
                    .directory("d/")
                    .symlink("d/l", "../vmlinux")
                    .hardlink("h", "vmlinux")
                    .file("d/rootfs.ext4", holey())
                    .file("vmlinux", "k")
                    .file("initrd.img", "")
                    .finish()},
      {"whiteouts", TarBuilder().opaque_whiteout("d").whiteout("vmlinux").finish()},
      {"pax", TarBuilder()
                  .pax_global({{"comment", "all"}})
                  .pax({{"path", "d/vmlinux"}, {"size", "6"}, {"mtime", "1.5"}})
                  .file("x", "kernel")
                  .finish()},
      {"gnu-names", TarBuilder()
                        .gnu_long_name(std::string(120, 'n'))
                        .gnu_long_link("t")
                        .symlink("l", "t")
                        .finish()},
      {"device", TarBuilder().char_device("null").block_device("b").fifo("f").finish()},
      {"upwards", TarBuilder().file("../vmlinux", "k").finish()},
      {"unfinished", TarBuilder().file("vmlinux", "kernel").unfinished()},
      {"half-end", TarBuilder().file("vmlinux", "k").unfinished() + std::string(512, '\0')},
      {"hidden", TarBuilder().file("vmlinux", "k").unfinished() + std::string(512, '\0') +
                     TarBuilder().file("rootfs.ext4", "r").finish()},
      {"base256", TarBuilder().tweak({.base256_size = true}).file("vmlinux", "kernel").finish()},
      {"too-long", TarBuilder().tweak({.claimed_size = 1 << 20}).file("vmlinux", "k").finish()},
      {"checksum", TarBuilder().tweak({.wrong_checksum = true}).file("vmlinux", "k").finish()},
      {"v7", TarBuilder().tweak({.magic = TarMagic::v7}).file("vmlinux", "k").finish()},
  };
  const std::vector<std::pair<std::string, SparseFormat>> formats = {
      {"gnu", SparseFormat::gnu_old},
      {"pax-0.0", SparseFormat::pax_0_0},
      {"pax-0.1", SparseFormat::pax_0_1},
      {"pax-1.0", SparseFormat::pax_1_0}};
  for (const auto& [name, format] : formats) {
    all.push_back({"sparse-" + name,
                   TarBuilder().sparse(format, "rootfs.ext4", sparse_file(holey(), 512)).finish()});
    all.push_back({"overlap-" + name, TarBuilder()
                                          .sparse(format, "rootfs.ext4",
                                                  {.size = 600,
                                                   .extents = {{0, 512}, {100, 88}},
                                                   .stored = std::string(600, 'x')})
                                          .finish()});
  }
  return all;
}

void tars(const std::filesystem::path& root) {
  const Corpus corpus(root, "tar");
  for (const Archive& archive : archives()) corpus.add_stream(archive.name, archive.bytes);
  const Corpus layouts(root, "layout_tar");
  for (const Archive& archive : archives()) layouts.add(archive.name, archive.bytes);
}

/// As `docker save` writes them, with one thing or another as the layers of the image.
void docker_archives(const std::filesystem::path& root) {
  const Corpus corpus(root, "docker_archive");
  const std::string layer = TarBuilder().file("vmlinux", "k").finish();
  const std::string config = R"({"os":"linux","architecture":"amd64","rootfs":{"diff_ids":[")" +
                             sha256_digest(layer) + R"("]}})";
  const std::string id = sha256_digest(config).substr(7);
  const std::string packed = "blobs/sha256/" + id;
  const auto add = [&](const std::string& name, const std::string& layers) {
    const std::string manifest = R"([{"Config":")" + id + R"(.json","RepoTags":["a:1","b:2"],)" +
                                 R"("Layers":)" + layers + "}]";
    corpus.add(name, TarBuilder()
                         .file("a/layer.tar", layer)
                         .symlink("b/layer.tar", "../a/layer.tar")
                         .file(packed, compress(layer, Compression::gzip))
                         .file(id + ".json", config)
                         .file("manifest.json", manifest)
                         .finish());
  };
  add("plain", R"(["a/layer.tar"])");
  add("linked", R"(["b/layer.tar"])");
  add("packed", R"([")" + packed + R"("])");
  add("upwards", R"(["../a/layer.tar"])");
  add("none", "[]");
  add("null", "null");
}

constexpr std::string_view kNextLayer = "\xff\xfflayer";

std::string layers(const std::vector<std::string>& tars) {
  std::string joined;
  for (const std::string& tar : tars) {
    if (!joined.empty()) joined += kNextLayer;
    joined += compress(tar, Compression::zstd);
  }
  return joined;
}

/// Artifacts that are links: before and behind what they lead to, through others, to nothing.
std::vector<Archive> linked_archives() {
  const auto root = [] { return TarBuilder().file("rootfs.ext4", "root"); };
  return {
      {"before", root().symlink("vmlinux", "b/v6").file("b/v6", "kernel").finish()},
      {"behind", root().file("b/v6", "kernel").symlink("vmlinux", "b/v6").finish()},
      {"hard", root().file("v6", "kernel").hardlink("vmlinux", "v6").finish()},
      {"chain", root()
                    .symlink("vmlinux", "b/v")
                    .symlink("b", "c")
                    .symlink("c/v", "../v6")
                    .file("v6", "kernel")
                    .finish()},
      {"folder", root().symlink("d", "e").file("d/vmlinux", "kernel").finish()},
      {"dangling", root().symlink("vmlinux", "gone").file("b/vmlinux", "kernel").finish()},
      {"outside", root().symlink("vmlinux", "/v6").finish()},
      {"replaced", root().symlink("vmlinux", "v6").file("vmlinux", "kernel").finish()},
  };
}

/// Packed: the fuzzer then has fewer bytes to try.
void layer_stacks(const std::filesystem::path& root) {
  const Corpus corpus(root, "layer");
  const std::string base = TarBuilder()
                               .file("rootfs.ext4", holey())
                               .file("vmlinux", "kernel")
                               .file("d/initrd.img", "initrd")
                               .finish();
  for (const Archive& archive : archives()) {
    corpus.add(archive.name, std::string(1, '\3') + layers({base, archive.bytes}));
  }
  for (const auto& [name, tar] : linked_archives()) {
    corpus.add("linked-" + name, std::string(1, '\3') + layers({tar}));
    corpus.add("linked-in-two-" + name, std::string(1, '\0') + layers({base, tar}));
  }
  const std::string packed = TarBuilder()
                                 .file("vmlinux.gz", compress("kernel", Compression::gzip))
                                 .file("rootfs.ext4.xz", compress(holey(), Compression::xz))
                                 .file("initrd.img", compress("initrd", Compression::gzip))
                                 .finish();
  corpus.add("packed", std::string(1, '\5') + layers({packed}));
  corpus.add("twice", std::string(1, '\1') +
                          layers({TarBuilder().file("vmlinux", "old").raw(base).finish()}));
  corpus.add("plain-tar", std::string(1, '\7') + base);
  corpus.add("gzip", std::string(1, '\7') + compress(base, Compression::gzip));
  const std::string deep = TarBuilder().file("a/vmlinux", "1").file("b/vmlinux", "2").finish();
  corpus.add("ambiguous", std::string(1, '\0') + layers({deep}));
  corpus.add("replaced",
             std::string(1, '\2') + layers({base, TarBuilder().file("rootfs.ext4", "new").finish(),
                                            TarBuilder().symlink("d", "e").finish()}));
}

std::string some_text() {
  std::string text;
  for (int i = 0; i < 900; ++i) text += std::to_string(i * i) + (i % 7 == 0 ? "\n" : " ");
  return text;
}

void add_packed(const Corpus& corpus, Compression compression) {
  const std::string packed = compress(some_text(), compression);
  corpus.add_stream("text", packed);
  corpus.add_stream("empty", compress("", compression));
  corpus.add_stream("short", compress("abc", compression, 9));
  corpus.add_stream("zeros", compress(std::string(200'000, '\0'), compression));
  corpus.add_stream("members", compress("one", compression) + compress("two", compression));
  corpus.add_stream("padded", compress("one", compression) + std::string(9, '\0'));
  corpus.add_stream("garbage", compress("one", compression) + "garbage");
  corpus.add_stream("cut-off", packed.substr(0, packed.size() / 2));
}

/// The frame of `text` without the checksum, which no fuzzer would get right.
std::string zstd_unchecked(std::string_view text, int window_log) {
  std::string frame = zstd_with_window(text, window_log);
  frame[4] = static_cast<char>(frame[4] & ~4);
  frame.resize(frame.size() - 4);
  return frame;
}

void zstd_frames(const std::filesystem::path& root) {
  const Corpus corpus(root, "zstd");
  add_packed(corpus, Compression::zstd);
  const std::string skippable = zstd_skippable_frame(20);
  corpus.add_stream("skippable", skippable + compress("x", Compression::zstd) + skippable);
  corpus.add_stream("only-skippable", zstd_skippable_frame(0));
  corpus.add_stream("window", zstd_with_window("text", 23));
  corpus.add_stream("large-window", zstd_with_window("text", 28));
  corpus.add_stream("unchecked", zstd_unchecked(some_text(), 10));
  corpus.add_stream("growing", zstd_unchecked("one", 17) + zstd_unchecked("two", 18) +
                                   zstd_unchecked("three", 20));
  std::string runs;
  for (int i = 0; i < 50; ++i)
    runs += zstd_block(1, 131072, i % 3 == 0 ? "x" : std::string(1, '\0'), false);
  corpus.add_stream("runs", zstd_frame(runs + zstd_block(0, 3, "abc", true)));
  corpus.add_stream("reserved", zstd_frame(zstd_block(3, 1, "a", true)));
  corpus.add_stream("content-size",
                    zstd_frame(std::string("\1\0", 2) + zstd_block(0, 1, "a", true), '\x40'));
}

/// Behind a first byte with its highest bit set: without the header and the trailer.
void deflate_streams(const Corpus& corpus) {
  for (const int level : {1, 6, 9}) {
    const std::string file = compress(some_text(), Compression::gzip, level);
    corpus.add("deflate-" + std::to_string(level), "\x83" + file.substr(10, file.size() - 18));
  }
  corpus.add("deflate-stored", std::string("\x80\x01\x03\0\xfc\xff", 6) + "abc");
  corpus.add("deflate-fixed", std::string("\x80\x4b\x4c\x4a\x06\0", 6));
}

void compressed_streams(const std::filesystem::path& root) {
  const Corpus gzip(root, "gzip");
  add_packed(gzip, Compression::gzip);
  deflate_streams(gzip);
  const GzipFields all{.extra = "extra", .name = "name", .comment = "comment", .checksum = true};
  gzip.add_stream("fields", gzip_with_fields("one", all) + gzip_with_fields("two", all));
  std::string wrong = gzip_with_fields("one", all);
  wrong[9] = 'x';
  gzip.add_stream("wrong-header-checksum", wrong);
  add_packed(Corpus(root, "xz"), Compression::xz);
  add_packed(Corpus(root, "bzip2"), Compression::bzip2);
  zstd_frames(root);
}

}  // namespace

void write_archives(const std::filesystem::path& root) {
  tars(root);
  docker_archives(root);
  layer_stacks(root);
  compressed_streams(root);
}

}  // namespace pyro::testing
