// Writes what fuzzing begins with: small inputs, good and bad, of every kind that there is.
//
//   make_fuzz_seeds DIRECTORY        (tests/fuzz/corpus)
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/compress.h"
#include "support/images.h"
#include "support/tar_builder.h"
#include "vm/fake_guest.h"

namespace pyro::testing {
namespace {

const std::string kHex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string kDigest = "sha256:" + kHex;

/// The corpus of one target.
class Corpus {
 public:
  Corpus(const std::filesystem::path& root, std::string_view target) : directory_(root / target) {
    std::filesystem::create_directories(directory_);
  }

  void add(const std::string& name, std::string_view content) const {
    std::ofstream file(directory_ / ("seed-" + name), std::ios::binary);
    file.write(content.data(), static_cast<std::streamsize>(content.size()));
    file.close();
    if (!file) throw std::runtime_error("cannot write " + directory_.string());
  }

  /// In one piece, and in many: the first byte says which.
  void add_stream(const std::string& name, const std::string& content) const {
    add(name, std::string(1, '\0') + content);
    add(name + "-cut", std::string(1, '\5') + content);
  }

 private:
  std::filesystem::path directory_;
};

void references(const std::filesystem::path& root) {
  const Corpus corpus(root, "reference");
  corpus.add("tag", "registry.example:5000\nteam/environment\n1.0.0");
  corpus.add("digest", "127.0.0.1:5000\nteam/a__b/c-d.e\n" + kDigest);
  corpus.add("ipv6", "[::1]:5000\nx\nlatest");
  corpus.add("upwards", "localhost\n../../x\n..");
  corpus.add("port", "localhost:65536\nTeam//x\n-x");
}

void digests(const std::filesystem::path& root) {
  const Corpus corpus(root, "digest");
  corpus.add("good", kDigest);
  corpus.add("upper-case", "sha256:" + std::string(64, 'A'));
  corpus.add("short", kDigest.substr(0, 70));
  corpus.add("sha512", "sha512:" + kHex + kHex);
}

void challenges(const std::filesystem::path& root) {
  const Corpus corpus(root, "challenge");
  corpus.add("bearer", R"(Bearer realm="https://h/token",service="h",scope="repository:a/b:pull")");
  corpus.add("both", "Basic realm=\"x\"\nBearer realm=\"y\", charset=UTF-8");
  corpus.add("token68", R"(Negotiate YWJj==, NTLM, Basic realm="a\"b\\c")");
  corpus.add("lists", R"(,, Bearer ,realm="x",, ,scope=y,)");
  corpus.add("unquoted", R"(Bearer realm="x\)");
}

void registries_files(const std::filesystem::path& root) {
  const Corpus corpus(root, "registries_conf");
  corpus.add("rule", R"([[registry]]
prefix = "r.example/team"
location = "internal.example:5000/copies"
insecure = true
)");
  corpus.add("mirrors", R"([[registry]]
location = "docker.io"
[[registry.mirror]]
location = "m.example/hub"
pull-from-mirror = "all"
[[registry.mirror]]
location = "[::1]:5000"
insecure = true
)");
  corpus.add("wildcard", "[[registry]]\nprefix = \"*.example\"\nblocked = true\n");
  corpus.add("both",
             "[[registry]]\nlocation = \"r.example\"\n[[registry]]\nlocation = "
             "\"r.example\"\nblocked = true\n");
  corpus.add("path",
             "[[registry]]\nlocation = \"r.example:5000/../x@y\"\nmirror-by-digest-only "
             "= true\n");
  corpus.add("version-1", "[registries.search]\nregistries = [\"docker.io\"]\n");
  corpus.add("helpers", "credential-helpers = [\"secretservice\"]\n[aliases]\n\"a\" = \"b/c\"\n");
  corpus.add("broken", "[[registry]\nlocation = ");
}

void credential_files(const std::filesystem::path& root) {
  const Corpus corpus(root, "credential_file");
  corpus.add("auth", R"({"auths": {"r.example": {"auth": "cm9iaW46c2VjcmV0"}}})");
  corpus.add("hub", R"({"auths": {"https://index.docker.io/v1/": {"auth": "YTpiOmM="}}})");
  corpus.add("token", R"({"auths": {"R.EXAMPLE:5000": {"identitytoken": "t"}}, "x": null})");
  corpus.add("plain", R"({"auths": {"r.example/team": {"username": "a", "password": "b"},
"http://r.example/v2/": {}}})");
  corpus.add("helpers", R"({"credHelpers": {"r.example": "pass"}, "credsStore": "secretservice"})");
  corpus.add("no-colon", R"({"auths": {"r.example": {"auth": "cm9iaW4="}}})");
  corpus.add("twice", R"({"auths": {"r.example": {}, "r.example": {}}})");
  corpus.add("types", R"({"auths": {"r.example": []}, "credHelpers": 1})");
  corpus.add("cut", R"({"auths": {"r.example": {"auth": "cm9i)");
}

void redirects(const std::filesystem::path& root) {
  const Corpus corpus(root, "redirect");
  corpus.add("elsewhere",
             "https://r.example/v2/a/blobs/b\nrhttps://cdn.example/x?sig=1\nr/y\n"
             "rhttps://r.example/back\n");
  corpus.add("to-plain", "https://r.example/x\nrhttp://r.example/x\n");
  corpus.add("inwards", "https://r.example/x\nphttp://127.0.0.1/\nrhttps://10.0.0.1/\n");
  corpus.add("public", "https://r.example/x\nphttps://cdn.example/\nrhttps://10.0.0.1/\n");
  corpus.add("loopback",
             "http://localhost:5000/x\nrhttp://127.0.0.1:5000/\nrhttp://far.example/\n");
  corpus.add("user", "https://robin:se%63ret@r.example/x\nrhttps://eve:x@r.example/y\n");
  corpus.add("relative",
             "https://[::1]:8443/a/b?c#d\nr../../x y\xc3\xbc\nr?q\nr//other.example/z\ns.\n");
  corpus.add("odd",
             "https://a\\@b/\nrhttps:r.example\nrhttps://r.example:0/\nrfile:///etc/passwd\n");
  corpus.add("two-ats", "https://a@b@r.example/\nn\n");
}

void ranges(const std::filesystem::path& root) {
  const Corpus corpus(root, "range");
  corpus.add("whole", "w9");
  corpus.add("resumed", "w3\nr2\nr9");
  corpus.add("ignored", "w3\nw5\nw9");
  corpus.add("shifted", "w3\ns9\nw9");
  corpus.add("lies", "w3\nl4\nr9");
  corpus.add("refused", "w3\nn0\nw9");
  corpus.add("errors", "e1\nw2\ne1\nr1\nr9");
  corpus.add("header", "w3\nh1bytes 333-999/1000\nr9");
  corpus.add("header-odd", "w3\nh1bytes 333-999999999999999999999/*\nh0bytes -1-5/3\nr9");
}

void token_answers(const std::filesystem::path& root) {
  const Corpus corpus(root, "token");
  const std::string request = "https://auth.example/token?a=b\nregistry\nrepository:a/b:pull\n0\n";
  corpus.add("token", request + R"({"token": "T", "expires_in": 60})");
  corpus.add("access-token", request + R"({"token": "", "access_token": "T"})");
  corpus.add("line-break", request + R"({"token": "T\r\nX: y"})");
  corpus.add("none", request + R"({"token": 5, "access_token": null})");
  corpus.add("list", request + R"([{"token": "T"}])");
  corpus.add("twice", request + R"({"token": "T", "token": "U"})");
  corpus.add("cut", request + R"({"token": "T)");
  corpus.add("scopes", "http://[::1]:5001/\na&b=c#d\n x:1  y:2,3 \n0\n{}");
  corpus.add("refused",
             "https://auth.example/\n\n\n6\n"
             R"({"errors": [{"code": "DENIED", "message": "no"}]})");
  corpus.add("busy", "https://auth.example/\n\n\n9\n");
}

void manifests(const std::filesystem::path& root) {
  const Corpus corpus(root, "manifest");
  const std::string oci_index = "1";  // places in the target's list of media types
  const std::string oci_manifest = "2";
  const std::string docker_list = "3";
  const std::string docker_manifest = "4";
  const Image oci = ImageBuilder().layer("tar").layer("tar", Compression::zstd).build();
  const Image docker = ImageBuilder(ImageFormat::docker).layer("tar").build();
  corpus.add("oci", oci_manifest + oci.root.bytes);
  corpus.add("oci-by-itself", "0" + oci.root.bytes);
  corpus.add("docker", docker_manifest + docker.root.bytes);
  corpus.add("contradiction", docker_manifest + oci.root.bytes);
  const Image index = IndexBuilder()
                          .add(docker, Platform{"linux", "arm64", "v8"})
                          .add(oci, std::nullopt)
                          .add_attestation(oci, oci.digest())
                          .build();
  corpus.add("index", oci_index + index.root.bytes);
  const auto list = IndexBuilder(ImageFormat::docker).add(docker, Platform{}).build();
  corpus.add("list", docker_list + list.root.bytes);
  corpus.add("schema-1", R"(0{"schemaVersion": 1, "fsLayers": []})");
  corpus.add("both", R"(0{"schemaVersion": 2, "layers": [], "manifests": []})");
  corpus.add("twice", R"(0{"schemaVersion": 2, "layers": [], "layers": []})");
  corpus.add("sizes", R"(0{"schemaVersion": 2, "layers": [{"digest": ")" + kDigest +
                          R"(", "size": 9007199254740993}]})");
  corpus.add("deep", "0" + std::string(65, '[') + std::string(65, ']'));
}

void qemu_answers(const std::filesystem::path& root) {
  const Corpus corpus(root, "qemu_answers");
  const std::string greeting =
      R"({"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}}, "capabilities": []}})"
      "\r\n";
  const std::string done = "{\"return\": {}}\r\n";
  const std::string event = R"({"timestamp": {"seconds": 1, "microseconds": 2}, "event": "RESUME"})"
                            "\r\n";
  corpus.add_stream("resume", greeting + done + event + done + done);
  corpus.add_stream("save", greeting + done + done + done + done +
                                R"({"return": {"status": "active", "ram": {"total": 1.5e9}}})"
                                "\n" +
                                R"({"return": {"status": "completed"}})"
                                "\n");
  corpus.add_stream("failed", done + R"({"return": {"status": "failed", "error-desc": "full"}})"
                                     "\n");
  corpus.add_stream("refusal", greeting +
                                   R"({"error": {"class": "GenericError", "desc": "not now"}})"
                                   "\n" +
                                   done);
  corpus.add_stream("odd-errors", "{\"error\": 7}\n{\"error\": {\"desc\": [1]}}\n");
  corpus.add_stream("no-objects", done + "7\n[]\nnull\n\n");
  corpus.add_stream("no-json", greeting + "qemu-system-x86_64: terminating\n");
  corpus.add_stream("twice", "{\"return\": 1, \"return\": 2}\n");
  corpus.add_stream("deep", "{\"return\": " + std::string(65, '[') + std::string(65, ']') + "}\n");
  corpus.add_stream("no-end", done + std::string(3000, ' '));
}

std::string catalog_of(const std::string& fields) {
  return R"({"catalog_version": "4.5.0", "environments": [{"name": "debian:12",
"version": "1.0.0", "description": "x", "default_packages": ["bash"], "distribution": "debian",
"distribution_version": "12", "source_profile": "debian")" +
         fields + "}]}";
}

void catalogs(const std::filesystem::path& root) {
  const Corpus corpus(root, "catalog");
  corpus.add("smallest", catalog_of(""));
  corpus.add("oci", catalog_of(R"(, "oci_registry": "r.example:5000", "oci_repository": "a/b",
"oci_reference": "1.0", "oci_digest": ")" +
                               kDigest + R"(", "compatibility": ">=4.5.0,<5.0.0")"));
  corpus.add("archive", catalog_of(R"(, "source_url": "https://h/x.tar.zst", "source_sha256": ")" +
                                   kHex + R"(", "platform": "linux-x86_64")"));
  corpus.add("path", catalog_of(R"(, "source_url": "../x.tar.gz", "source_digest": null)"));
  corpus.add("file", catalog_of(R"(, "source_url": "file:///x%20y.tar")"));
  corpus.add("unknown", catalog_of(R"(, "oci_registri": "x")"));
  corpus.add("empty", R"({"catalog_version": "1", "environments": []})");
  corpus.add("list", "[]");
}

void install_records(const std::filesystem::path& root) {
  const Corpus corpus(root, "install_record");
  const std::string reference = R"({
  "catalog_version": "4.5.0",
  "installed_at": 1700000000,
  "name": "debian:12",
  "source": "oci://r.example/a@)" +
                                kDigest +
                                R"(",
  "source_digest": null,
  "version": "1.0.0")";
  corpus.add("reference", reference + "\n}\n");
  corpus.add("ours", reference + R"(, "catalog_file": "/etc/c\u00e4t.json", "oci_digest": ")" +
                         kDigest + R"(", "artifacts": {"vmlinux": {"size": 7, "digest": ")" +
                         kDigest + "\"}}}");
  corpus.add("wrong-types", R"({"name": "x", "version": "1", "installed_at": 1e9, "source": 1,
"oci_digest": "x", "artifacts": {"vmlinux": 1, "y": {"size": -1}}})");
  corpus.add("cut", reference);
}

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

std::string tree_entry(guest::EntryKind kind, std::uint16_t mode, std::string_view text) {
  guest::EntryPayload entry;
  entry.modified = 1'600'000'000;
  entry.nanoseconds = 123'456'789;
  entry.mode = mode;
  entry.kind = kind;
  return frame_bytes(guest::FrameType::entry, payload_bytes(entry, text));
}

/// The first byte says what the guest was asked for.
constexpr char kCopyOut = 0;
constexpr char kCopyIn = 1;
constexpr char kRun = 2;
constexpr char kBegin = 3;

void guest_trees(const Corpus& corpus) {
  using guest::EntryKind;
  using guest::FrameType;
  const std::string root = tree_entry(EntryKind::directory, 0755, "");
  const std::string data = frame_bytes(FrameType::data, "content");
  const std::string end = data + frame_bytes(FrameType::tree_end) + frame_bytes(FrameType::done);
  const auto add = [&](const char* name, const std::string& frames) {
    corpus.add(name, kCopyOut + frames + end);
  };
  const auto link = [](std::string_view path, std::string_view target) {
    return tree_entry(EntryKind::link, 0777, std::string(path) + '\0' + std::string(target));
  };
  add("file", tree_entry(EntryKind::file, 0644, ""));
  add("tree", root + tree_entry(EntryKind::directory, 0500, "d") +
                  tree_entry(EntryKind::file, 0751, "d/f") + data + link("d/l", "../d/f") +
                  link("l", "d") + tree_entry(EntryKind::file, 0600, "z"));
  add("set-id", root + tree_entry(EntryKind::file, 06755, "f") +
                    tree_entry(EntryKind::directory, 07777, "d"));
  add("upwards", root + tree_entry(EntryKind::file, 0644, "../beside/canary"));
  add("absolute", root + link("l", "/etc") + tree_entry(EntryKind::file, 0644, "l/f"));
  add("link-out", root + link("l", "../../beside") + tree_entry(EntryKind::file, 0644, "l/canary"));
  add("link-chain", root + tree_entry(EntryKind::directory, 0755, "p") + link("p/up", "..") +
                        link("l", "p/up/../../beside"));
  add("link-zero-byte",
      root + link("l", std::string_view("..\0/x", 5)) + link("k", std::string_view("l/..\0/x", 7)));
  add("name-zero-byte", root + tree_entry(EntryKind::file, 0644, std::string_view("a\0b", 3)));
  add("replaced", root + link("a", "b") + tree_entry(EntryKind::file, 0644, "a") +
                      tree_entry(EntryKind::directory, 0755, "a"));
  add("left-out", frame_bytes(FrameType::left_out, "/dev/null") + root);
}

void guest_frames(const std::filesystem::path& root) {
  using guest::FrameType;
  const Corpus corpus(root, "guest");
  guest_trees(corpus);
  const std::string refused =
      frame_bytes(FrameType::refused, payload_bytes(guest::RefusalPayload{2}, "/in/guest"));
  const std::string exited =
      frame_bytes(FrameType::exited, payload_bytes(guest::ExitPayload{3, 0}));
  corpus.add("out-refused", kCopyOut + refused);
  corpus.add("in", kCopyIn + frame_bytes(FrameType::done));
  corpus.add("in-refused", kCopyIn + refused);
  corpus.add("run", kRun + frame_bytes(FrameType::output, "out") +
                        frame_bytes(FrameType::error_output, "error") +
                        frame_bytes(FrameType::taken, payload_bytes(guest::NumberPayload{7})) +
                        exited);
  corpus.add("run-refused", kRun + refused);
  corpus.add("trouble", kRun + frame_bytes(FrameType::trouble, "no disk"));
  corpus.add("begin",
             kBegin + frame_bytes(FrameType::output, "late") +
                 frame_bytes(FrameType::ready,
                             payload_bytes(guest::NumberPayload{guest::kProtocolVersion})));
}

}  // namespace
}  // namespace pyro::testing

int main(int argc, char** argv) try {
  using namespace pyro::testing;
  if (argc != 2) throw std::runtime_error("usage: make_fuzz_seeds DIRECTORY");
  const std::filesystem::path root = argv[1];
  references(root);
  digests(root);
  challenges(root);
  manifests(root);
  registries_files(root);
  credential_files(root);
  redirects(root);
  ranges(root);
  token_answers(root);
  qemu_answers(root);
  catalogs(root);
  install_records(root);
  tars(root);
  layer_stacks(root);
  compressed_streams(root);
  guest_frames(root);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "make_fuzz_seeds: %s\n", error.what());
  return 1;
}
