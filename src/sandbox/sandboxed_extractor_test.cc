// Tests of extraction: accepted and rejected layers, limits, and the extractor's failures.
#include "sandbox/sandboxed_extractor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/files.h"
#include "pyro/error.h"
#include "stream/merged_view.h"
#include "support/artifacts.h"
#include "support/compress.h"
#include "support/extraction_bench.h"
#include "support/process.h"
#include "support/tar_builder.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

using testing::Compression;
using testing::SparseFormat;
using testing::TarBuilder;

// Names a table's row.
constexpr auto kNameOf = [](const auto& row) { return row.param.name; };

// --- accepted layers ---

struct Layout {
  const char* name;
  std::vector<std::string> layers;
  Artifacts expected;
};

class Accepted : public ::testing::TestWithParam<Layout> {};

TEST_P(Accepted, IsExtracted) {
  EXPECT_EQ(extract(GetParam().layers), GetParam().expected);
}

std::string deep(const std::string& name) {
  return std::string(60, 'd') + "/" + name;
}

INSTANTIATE_TEST_SUITE_P(
    Archives, Accepted,
    ::testing::Values(
        Layout{"at_the_top", {both().finish()}, kBoth},
        Layout{"with_dot_slash",
               {TarBuilder()
                    .directory("./")
                    .file("./vmlinux", "kernel")
                    .file("./rootfs.ext4", "root")
                    .finish()},
               kBoth},
        Layout{"in_a_folder",
               {TarBuilder()
                    .directory("env/")
                    .file("env/vmlinux", "kernel")
                    .file("env/rootfs.ext4", "root")
                    .finish()},
               kBoth},
        Layout{"the_shallowest_wins",
               {TarBuilder()
                    .file("a/b/vmlinux", "deeper")
                    .file("a/vmlinux", "kernel")
                    .file("x/y/rootfs.ext4", "deeper")
                    .file("rootfs.ext4", "root")
                    .finish()},
               kBoth},
        Layout{"with_an_initrd",
               {both().file("initrd.img", "modules").finish()},
               {{"vmlinux", "kernel"}, {"rootfs.ext4", "root"}, {"initrd.img", "modules"}}},
        Layout{"other_members",
               {both()
                    .directory("etc/")
                    .file("etc/os-release", "debian")
                    .symlink("etc/link", "os-release")
                    .hardlink("etc/hard", "etc/os-release")
                    .symlink("lib", "usr/lib")
                    .file("README", std::string(100'000, 'r'))
                    .finish()},
               kBoth},
        Layout{"similar_names",
               {both().file("vmlinux.old", "x").file("ROOTFS.EXT4", "x").finish()},
               kBoth},
        Layout{"contiguous_file_type",
               {TarBuilder().member('7', "vmlinux", "kernel").file("rootfs.ext4", "root").finish()},
               kBoth},
        Layout{"pax_path",
               {TarBuilder()
                    .pax({{"path", deep("vmlinux")}})
                    .file("x", "kernel")
                    .file("rootfs.ext4", "root")
                    .finish()},
               kBoth},
        Layout{"gnu_long_name",
               {TarBuilder()
                    .gnu_long_name(deep("vmlinux"))
                    .file("x", "kernel")
                    .file("rootfs.ext4", "root")
                    .finish()},
               kBoth},
        Layout{"names_in_odd_character_sets",
               {both()
                    .pax({{"path", "f\xc3\xbc\xc3\x9f\x65"}})
                    .file("x", "y")
                    .file("\xff\xfe", "z")
                    .finish()},
               kBoth},
        Layout{"records_of_10240", {both().finish(10240)}, kBoth},
        Layout{"no_end_blocks", {both().unfinished()}, kBoth},
        Layout{"an_empty_artifact",  // refused by the installer
               {TarBuilder().file("vmlinux", "").file("rootfs.ext4", "root").finish()},
               {{"vmlinux", ""}, {"rootfs.ext4", "root"}}}),
    kNameOf);

INSTANTIATE_TEST_SUITE_P(
    Layers, Accepted,
    ::testing::Values(
        Layout{"one_artifact_each",
               {TarBuilder().file("vmlinux", "kernel").finish(),
                TarBuilder().file("rootfs.ext4", "root").finish()},
               kBoth},
        Layout{
            "a_later_layer_replaces",
            {TarBuilder().file("vmlinux", "older and longer").file("rootfs.ext4", "root").finish(),
             TarBuilder().file("vmlinux", "kernel").finish()},
            kBoth},
        Layout{"a_whiteout_hides_the_shallower_one",
               {TarBuilder().file("vmlinux", "hidden").file("boot/vmlinux", "kernel").finish(),
                TarBuilder().whiteout("vmlinux").file("rootfs.ext4", "root").finish()},
               kBoth},
        Layout{"a_whiteout_hides_lower_layers_only",
               {TarBuilder().file("vmlinux", "old").file("rootfs.ext4", "root").finish(),
                TarBuilder().file("vmlinux", "kernel").whiteout("vmlinux").finish()},
               kBoth},
        Layout{"an_opaque_directory",
               {TarBuilder().file("a/vmlinux", "hidden").file("a/rootfs.ext4", "hidden").finish(),
                TarBuilder()
                    .file("a/deep/vmlinux", "kernel")
                    .opaque_whiteout("a")
                    .file("a/rootfs.ext4", "root")
                    .finish()},
               kBoth},
        Layout{"a_whiteout_of_the_folder",
               {TarBuilder().file("a/vmlinux", "hidden").finish(),
                TarBuilder().whiteout("a").finish(), both().finish()},
               kBoth},
        Layout{"a_file_where_the_folder_was",
               {TarBuilder().file("a/vmlinux", "hidden").finish(),
                TarBuilder().file("a", "now a file").file("b/c/vmlinux", "kernel").finish(),
                TarBuilder().file("rootfs.ext4", "root").finish()},
               kBoth},
        Layout{"a_folder_where_the_artifact_was",
               {TarBuilder().file("vmlinux", "hidden").file("b/vmlinux", "kernel").finish(),
                TarBuilder().directory("vmlinux").file("rootfs.ext4", "root").finish()},
               kBoth},
        Layout{
            "each_compressed_in_its_own_way",
            {testing::compress(TarBuilder().file("vmlinux", "kernel").finish(), Compression::xz),
             testing::compress(TarBuilder().file("rootfs.ext4", "old").finish(), Compression::zstd),
             testing::compress(TarBuilder().file("rootfs.ext4", "root").finish(),
                               Compression::gzip),
             testing::compress(TarBuilder().file("etc/x", "x").finish(), Compression::bzip2)},
            kBoth}),
    kNameOf);

INSTANTIATE_TEST_SUITE_P(
    PassedOver, Accepted,
    ::testing::Values(
        Layout{"absolute_symlink", {both().symlink("a", "/etc/passwd").finish()}, kBoth},
        Layout{"symlink_that_leaves", {both().symlink("a/b", "../../etc").finish()}, kBoth},
        Layout{"hardlink_that_leaves", {both().hardlink("a", "../x").finish()}, kBoth},
        Layout{"char_device", {both().char_device("dev/null").finish()}, kBoth},
        Layout{"block_device", {both().block_device("dev/sda").finish()}, kBoth},
        Layout{"fifo", {both().fifo("pipe").finish()}, kBoth},
        Layout{"deeper_link_that_leaves",
               {both().symlink("usr/lib/debug/vmlinux", "/boot/vmlinux").finish()},
               kBoth},
        Layout{"no_bytes_at_all", {"", both().finish(), ""}, kBoth},
        Layout{
            "gzip_of_nothing", {testing::compress("", Compression::gzip), both().finish()}, kBoth},
        Layout{
            "zstd_of_nothing", {both().finish(), testing::compress("", Compression::zstd)}, kBoth}),
    kNameOf);

INSTANTIATE_TEST_SUITE_P(
    LastCopy, Accepted,
    ::testing::Values(
        Layout{"twice_in_one_layer",
               {TarBuilder().file("vmlinux", "older, longer").raw(both().unfinished()).finish()},
               kBoth},
        Layout{"twice_by_another_name",
               {TarBuilder().file("./vmlinux", "old").raw(both().unfinished()).finish()},
               kBoth},
        Layout{"ten_times",
               {TarBuilder()
                    .file("vmlinux", "1")
                    .file("vmlinux", "2")
                    .file("vmlinux", "3")
                    .file("vmlinux", "4")
                    .file("vmlinux", "5")
                    .file("vmlinux", "6")
                    .raw(both().unfinished())
                    .finish()},
               kBoth},
        Layout{"file_behind_a_link",
               {TarBuilder().symlink("vmlinux", "/etc/passwd").raw(both().unfinished()).finish()},
               kBoth},
        Layout{"link_behind_a_file",
               {TarBuilder()
                    .file("vmlinux", "old")
                    .file("v6", "kernel")
                    .file("rootfs.ext4", "root")
                    .symlink("vmlinux", "v6")
                    .finish()},
               kBoth}),
    kNameOf);

// --- rejected layers ---

class Refused : public ::testing::TestWithParam<Refusal> {};

TEST_P(Refused, FailsWithReason) {
  expect_refused(GetParam());
}

std::string truncated(std::string archive, std::size_t by) {
  return archive.substr(0, archive.size() - by);
}

testing::SparseFile bad_map(std::vector<testing::SparseExtent> extents) {
  return {.size = 10'000, .extents = std::move(extents), .stored = std::string(10'000, 's')};
}

INSTANTIATE_TEST_SUITE_P(
    Members, Refused,
    ::testing::Values(
        Refusal{
            "absolute_name", {both().file("/vmlinux", "x").finish()}, "'/vmlinux' has an absolute"},
        Refusal{"dot_dot", {both().file("../vmlinux", "x").finish()}, "'../vmlinux' has '..'"},
        Refusal{"dot_dot_inside", {both().file("a/../../x", "x").finish()}, "has '..'"},
        Refusal{"artifact_is_a_device",
                {both().char_device("dev/vmlinux").finish()},
                "'dev/vmlinux' is a device"},
        Refusal{"artifact_is_a_fifo",
                {TarBuilder().file("vmlinux", "k").fifo("rootfs.ext4").finish()},
                "'rootfs.ext4' is a FIFO"},
        Refusal{"two_at_one_depth",
                {TarBuilder()
                     .file("a/vmlinux", "1")
                     .file("b/vmlinux", "2")
                     .file("rootfs.ext4", "r")
                     .finish()},
                "'a/vmlinux' and 'b/vmlinux'"},
        Refusal{"too_many_candidates",
                {TarBuilder()
                     .file("a/vmlinux", "1")
                     .file("b/vmlinux", "2")
                     .file("c/vmlinux", "3")
                     .file("d/vmlinux", "4")
                     .file("e/vmlinux", "5")
                     .finish()},
                "more than 4 files called vmlinux"},
        Refusal{"no_kernel",
                {TarBuilder().file("rootfs.ext4", "root").finish()},
                "environment archive did not contain vmlinux"},
        Refusal{"no_root",
                {TarBuilder().file("vmlinux", "kernel").finish()},
                "environment archive did not contain rootfs.ext4"},
        Refusal{"whited_out",
                {both().finish(), TarBuilder().whiteout("vmlinux").finish()},
                "did not contain vmlinux"}),
    kNameOf);

INSTANTIATE_TEST_SUITE_P(
    Archives, Refused,
    ::testing::Values(
        Refusal{"html",
                {"<!DOCTYPE html><html><body>Please log in</body></html>"},
                "not a tar archive, it is an HTML page"},
        Refusal{"nothing", {""}, "did not contain vmlinux"},
        Refusal{"zip",
                {std::string("PK\x03\x04") + std::string(600, 'z')},
                "not a tar archive, it is a zip archive"},
        Refusal{"file_system",
                {testing::file_system_with(std::string(5000, '\0'))},
                "not a tar archive, it is an ext2, ext3 or ext4 file system"},
        Refusal{"cut_in_the_data",
                {truncated(TarBuilder().file("vmlinux", std::string(5000, 'k')).unfinished(), 700)},
                "damaged tar"},
        Refusal{"cut_in_a_header", {truncated(both().unfinished(), 800)}, "tar"},
        Refusal{"wrong_checksum",
                {both().tweak({.wrong_checksum = true}).file("x", "y").finish()},
                "tar"},
        Refusal{"something_after_the_end",
                {both().finish() + both().finish()},
                "something follows its end"},
        Refusal{
            "garbage_after_the_end", {both().finish() + "garbage"}, "something follows its end"},
        Refusal{
            "member_after_one_end_block",
            {both().unfinished() + std::string(512, '\0') + TarBuilder().file("x", "y").finish()},
            "something follows its end"},
        Refusal{
            "member_in_the_second_end_block",
            {both().unfinished() + std::string(512, '\0') + TarBuilder().whiteout("x").finish()},
            "something follows its end"},
        Refusal{"truncated_gzip",
                {truncated(testing::compress(both().finish(), Compression::gzip), 5)},
                "gzip data ends too early"},
        Refusal{"truncated_zstd",
                {truncated(testing::compress(both().finish(), Compression::zstd), 5)},
                "zstd data ends too early"},
        Refusal{"second_layer_named", {both().finish(), "<html>"}, "layer 2: it is not a tar"}),
    kNameOf);

class SparseFormats : public ::testing::TestWithParam<SparseFormat> {};

TEST_P(SparseFormats, ExtractsWellFormedMembers) {
  std::string content(300'000, '\0');
  content.replace(8192, 5, "begin");
  content.replace(100'000, 4, "odd!");
  content.replace(299'990, 10, "at the end");
  const auto file = testing::sparse_file(content, 512);
  const auto artifacts = extract({TarBuilder()
                                      .file("vmlinux", "kernel")
                                      .sparse(GetParam(), "rootfs.ext4", file)
                                      .file("README", "after it")
                                      .finish()});
  EXPECT_EQ(artifacts.at("rootfs.ext4"), content);
  EXPECT_EQ(artifacts.at("vmlinux"), "kernel");
}

TEST_P(SparseFormats, SizeIncludesTrailingHole) {
  const auto file = testing::sparse_file("data" + std::string(50'000, '\0'), 512);
  const auto artifacts = extract(
      {TarBuilder().file("vmlinux", "kernel").sparse(GetParam(), "rootfs.ext4", file).finish()});
  EXPECT_EQ(artifacts.at("rootfs.ext4"), "data" + std::string(50'000, '\0'));
}

TEST_P(SparseFormats, RejectsInvalidMaps) {
  const std::vector<testing::SparseFile> maps = {
      bad_map({{0, 4096}, {2048, 4096}}),  // overlap
      bad_map({{8192, 512}, {0, 512}}),    // run backwards
      bad_map({{0, 512}, {9'900, 512}}),   // pass the size
      bad_map({{20'000, 512}, {0, 512}}),  // begin beyond it
  };
  for (const auto& map : maps) {
    EXPECT_THROW(
        extract(
            {TarBuilder().file("vmlinux", "k").sparse(GetParam(), "rootfs.ext4", map).finish()}),
        Error)
        << map.extents[0].offset << ", " << map.extents[1].offset;
  }
}

TEST_P(SparseFormats, RejectsMapsLargerThanStoredData) {
  const std::string data(512, 'd');
  const std::vector<testing::SparseFile> maps = {
      {.size = 10'000, .extents = {{0, 512}, {4096, 512}}, .stored = data},  // an extent too many
      {.size = 10'000, .extents = {{0, 4096}}, .stored = data},              // cut in one
      {.size = 10'000, .extents = {{0, 10'000}}, .stored = data},            // all of the file
      {.size = 10'000, .extents = {{0, 512}, {4096, 512}}},                  // nothing stored
  };
  for (const auto& map : maps) {
    const std::string archive =
        TarBuilder().file("vmlinux", "k").sparse(GetParam(), "rootfs.ext4", map).finish();
    try {
      extract({archive});
      ADD_FAILURE() << map.extents.back().offset << ", " << map.stored.size();
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("has more than it holds"), std::string::npos)
          << error.what();
    }
  }
}

TEST_P(SparseFormats, ExtractsFileOfOneHole) {
  const auto artifacts = extract({TarBuilder()
                                      .file("vmlinux", "kernel")
                                      .sparse(GetParam(), "rootfs.ext4", {.size = 10'000})
                                      .finish()});
  EXPECT_EQ(artifacts.at("rootfs.ext4"), std::string(10'000, '\0'));
}

INSTANTIATE_TEST_SUITE_P(All, SparseFormats,
                         ::testing::Values(SparseFormat::gnu_old, SparseFormat::pax_0_0,
                                           SparseFormat::pax_0_1, SparseFormat::pax_1_0));

// --- bounds ---

void expect_refused(const ExtractionLimits& limits, const std::vector<std::string>& layers,
                    const std::string& says) {
  try {
    Bench(limits).extract(layers);
    ADD_FAILURE() << "was extracted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    EXPECT_NE(std::string(error.what()).find(says), std::string::npos) << error.what();
  }
}

TEST(Bounds, RejectsArtifactAboveItsLimit) {
  constexpr std::uint64_t kLimit = 1 << 20;
  const std::string just(kLimit, 'x');
  const std::string more(kLimit + 1, 'x');
  const auto archive = [](const std::string& kernel, const std::string& root,
                          const std::string& initrd) {
    return TarBuilder()
        .file("vmlinux", kernel)
        .file("rootfs.ext4", root)
        .file("initrd.img", initrd)
        .finish();
  };
  ExtractionLimits limits;
  limits.rootfs_bytes = limits.kernel_bytes = limits.initrd_bytes = kLimit;
  EXPECT_EQ(Bench(limits).extract({archive(just, just, just)}).size(), 3U);
  expect_refused(limits, {archive(more, just, just)}, "'vmlinux' would take");
  expect_refused(limits, {archive(just, more, just)}, "'rootfs.ext4' would take");
  expect_refused(limits, {archive(just, just, more)}, "'initrd.img' would take");
}

TEST(Bounds, RejectsTooManyOtherBytesOfAllLayers) {
  ExtractionLimits limits;
  limits.other_bytes = 2 << 20;
  const std::string megabyte = both().file("a", std::string(1 << 20, 'a')).finish();
  EXPECT_EQ(Bench(limits).extract({megabyte}), kBoth);
  expect_refused(limits, {megabyte, TarBuilder().file("b", std::string(1 << 20, 'b')).finish()},
                 "unpacks to more than 2 MiB");
}

TEST(Bounds, RejectsTooManyMembersOfAllLayers) {
  ExtractionLimits limits;
  limits.members = 3;
  const std::string archive = both().file("a", "a").finish();
  EXPECT_EQ(Bench(limits).extract({archive}), kBoth);
  expect_refused(limits, {archive, TarBuilder().directory("d").finish()}, "more than 3 members");
}

TEST(Bounds, RejectsTooManyCompressedBytes) {
  ExtractionLimits limits;
  limits.compressed_bytes = 1 << 20;
  expect_refused(limits, {both().file("a", std::string(1 << 20, 'a')).finish()}, "compressed data");
}

TEST(Bounds, RejectsSparseMapOfMillionExtents) {
  std::vector<testing::SparseExtent> extents;
  for (std::int64_t i = 0; i < 1'000'000; ++i) extents.push_back({i * 2, 1});
  const testing::SparseFile map{
      .size = 2'000'000, .extents = extents, .stored = std::string(1'000'000, 's')};
  const std::string archive =
      TarBuilder().file("vmlinux", "k").sparse(SparseFormat::pax_1_0, "rootfs.ext4", map).finish();
  EXPECT_THROW(extract({archive}), Error);
}

// --- the files ---

TEST(Extraction, ZeroBlocksBecomeHoles) {
  std::string root(64 << 20, '\0');
  root.replace(32 << 20, 4, "data");
  Bench bench;
  const auto artifacts = bench.extract({testing::compress(
      TarBuilder().file("vmlinux", "k").file("rootfs.ext4", root).finish(), Compression::gzip)});
  EXPECT_EQ(artifacts.at("rootfs.ext4"), root);
  EXPECT_LE(bench.allocated(kRootfs), 16U * 1024);
}

TEST(Extraction, HolesHoldNoBytesOfReplacedCandidate) {
  const std::string old(1 << 20, 'o');
  std::string root(1 << 20, '\0');
  root.replace(0, 4, "root");
  Bench bench;
  const auto artifacts =
      bench.extract({TarBuilder().file("vmlinux", "k").file("rootfs.ext4", old).finish(),
                     TarBuilder().file("rootfs.ext4", root).finish()});
  EXPECT_EQ(artifacts.at("rootfs.ext4"), root);
}

TEST(Extraction, WritesScatteredSparseMap) {
  testing::SparseFile map{.size = 2'000 * 8192};
  std::string content(2'000 * 8192, '\0');
  for (int i = 0; i < 2'000; ++i) {
    map.extents.push_back({i * 8192 + i, 1});
    map.stored += static_cast<char>('a' + i % 26);
    content[static_cast<std::size_t>(i) * 8193] = map.stored.back();
  }
  const auto artifacts = extract({TarBuilder()
                                      .file("vmlinux", "kernel")
                                      .sparse(SparseFormat::pax_1_0, "rootfs.ext4", map)
                                      .file("initrd.img", std::string(600'000, 'i'))
                                      .finish()});
  EXPECT_TRUE(artifacts.at("rootfs.ext4") == content);
  EXPECT_TRUE(artifacts.at("initrd.img") == std::string(600'000, 'i'));
}

TEST(Extraction, CanBeDestroyedDuringLayer) {
  const std::string archive = both().finish();
  testing::TempDir dir;
  const Fd file = open_at(AT_FDCWD, (dir / "f").string(), O_RDWR | O_CREAT, 0644, dir / "f");
  SandboxedExtractor extraction(PYRO_EXECUTABLE, std::vector<int>(MergedView::kFiles, file.get()),
                                {});
  extraction.begin_layer("layer");
  extraction.write(std::as_bytes(std::span(archive)).first(700));
}

TEST(Extraction, ReportsFailedWriteAsFilesystemError) {
  const Fd full = open_at(AT_FDCWD, "/dev/full", O_WRONLY, 0, "/dev/full");
  SandboxedExtractor extraction(PYRO_EXECUTABLE, std::vector<int>(MergedView::kFiles, full.get()),
                                {});
  const std::string archive = both().finish();
  extraction.begin_layer("layer");
  extraction.write(std::as_bytes(std::span(archive)));
  try {
    extraction.end_layer();
    (void)extraction.finish();
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::filesystem);
  }
}

// --- the extractor ---

/// The error of an extraction of good layers with `program` as extractor.
Error failure_with(const std::filesystem::path& program,
                   ExtractionProduct product = ExtractionProduct::artifacts) {
  try {
    Bench bench;
    bench.use(program);
    bench.make(product);
    bench.extract({both().finish(), both().finish()});
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::failed, "it was extracted"};
}

TEST(Extractor, MissingProgramIsFilesystemError) {
  const Error error = failure_with("/no/such/pyro");
  EXPECT_EQ(error.code(), ErrorCode::filesystem);
  EXPECT_STREQ(error.what(), "cannot start the extractor /no/such/pyro: No such file or directory");
}

TEST(Extractor, OtherProgramFailsWithHint) {
  const Error error = failure_with("/bin/false");
  EXPECT_EQ(error.code(), ErrorCode::failed);
  EXPECT_NE(std::string(error.what()).find("/bin/false did not start (exit code 1)"),
            std::string::npos)
      << error.what();
  EXPECT_NE(error.hint().find("of this version"), std::string::npos);
}

/// An executable in `dir` that is an extractor with that lie.
std::filesystem::path make_liar(const testing::TempDir& dir, const std::string& lie) {
  const std::filesystem::path script = dir / "liar";
  testing::write_file(script, "#!/bin/sh\nexec " PYRO_LIAR " " + lie + "\n");
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  return script;
}

struct Lie {
  const char* name;
  ErrorCode code;
  std::string says;
};

class LyingExtractor : public ::testing::TestWithParam<Lie> {};

TEST_P(LyingExtractor, FailsWithReason) {
  const testing::TempDir dir;
  const Error error = failure_with(make_liar(dir, GetParam().name));
  EXPECT_EQ(error.code(), GetParam().code) << error.what();
  EXPECT_NE(std::string(error.what()).find(GetParam().says), std::string::npos) << error.what();
}

INSTANTIATE_TEST_SUITE_P(
    All, LyingExtractor,
    ::testing::Values(
        Lie{"AnotherVersion", ErrorCode::failed, "is of another version"},
        Lie{"Nonsense", ErrorCode::integrity, "it sent an invalid message"},
        Lie{"NothingAtAll", ErrorCode::failed, "did not start (exit code 0)"},
        Lie{"WorksBeforeReady", ErrorCode::integrity, "it worked before it was confined"},
        Lie{"ReadyTwice", ErrorCode::integrity, "it was ready twice"},
        Lie{"AcknowledgesUnsentChunk", ErrorCode::integrity,
            "it acknowledged a chunk that was not sent"},
        Lie{"DoneAtOnce", ErrorCode::integrity, "it finished before all layers were sent"},
        Lie{"WritesMoreThanAllArtifacts", ErrorCode::integrity, "it wrote more than 83968 MiB"},
        Lie{"MakesAForbiddenCall", ErrorCode::failed,
            "the extractor made the system call socket (41), which its sandbox does not have"},
        Lie{"MakesAForbiddenCallBeforeItIsReady", ErrorCode::failed,
            "the extractor made the system call socket (41), which its sandbox does not have"},
        Lie{"IncompleteAtOnce", ErrorCode::integrity, "it finished before all layers were sent"},
        Lie{"UnpackedWithoutAnArchive", ErrorCode::integrity,
            "it wrote something else than it reported"},
        Lie{"WroteNothing", ErrorCode::integrity, "it wrote something else than it reported"},
        Lie{"FailsInMissingLayer", ErrorCode::integrity,
            "it failed in a layer that does not exist"},
        Lie{"Fails", ErrorCode::filesystem, "layer 2: as it was told"},
        Lie{"Crashes", ErrorCode::integrity, "layer 2: the extractor died (signal 11, SIGSEGV)"},
        Lie{"IsKilled", ErrorCode::failed, "layer 2: the extractor was killed (signal 9, SIGKILL)"},
        Lie{"Exits", ErrorCode::failed,
            "layer 2: the extractor ended in the middle of its work (exit code 3)"}),
    kNameOf);

TEST(Extractor, RefusesArtifactsInPlaceOfFileSystem) {
  for (const char* lie : {"WroteNothing", "IncompleteAtTheEnd"}) {
    const testing::TempDir dir;
    const Error error = failure_with(make_liar(dir, lie), ExtractionProduct::file_system);
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    EXPECT_NE(std::string(error.what()).find("it looked for artifacts where there are none"),
              std::string::npos)
        << lie << ": " << error.what();
  }
}

// --- container images ---

TEST(FileSystemExtraction, MakesOneFileSystemOfAllLayers) {
  Bench bench;
  bench.make(ExtractionProduct::file_system);
  const auto made = bench.extract(
      {compress(TarBuilder().directory("bin").file("bin/a", "1").file("bin/b", "2").finish(),
                Compression::gzip),
       compress(TarBuilder().whiteout("bin/b").symlink("lib", "bin").file("lib/c", "3").finish(),
                Compression::zstd)});
  ASSERT_EQ(made.size(), 1U);
  const testing::TempDir dir;
  testing::write_file(dir / "rootfs.ext4", made.at("rootfs.ext4"));
  const std::string image = (dir / "rootfs.ext4").string();
  const auto check = testing::run({.argv = {"/sbin/e2fsck", "-fn", image}, .clean_env = true});
  EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
  const auto list =
      testing::run({.argv = {"/sbin/debugfs", "-R", "ls -p /bin", image}, .clean_env = true});
  EXPECT_NE(list.out.find("/a/"), std::string::npos) << list.out;
  EXPECT_NE(list.out.find("/c/"), std::string::npos) << "written through the link";
  EXPECT_EQ(list.out.find("/b/"), std::string::npos);
}

TEST(FileSystemExtraction, FreesBlocksOfReplacedFilesInTheSandbox) {
  Bench bench;
  bench.make(ExtractionProduct::file_system);
  const std::string big(std::size_t{8} << 20, 'x');
  static_cast<void>(bench.extract(
      {TarBuilder().file("big", big).finish(), TarBuilder().file("big", "small").finish()}));
  EXPECT_LT(bench.allocated(kRootfs), std::uint64_t{1} << 20);
}

TEST(FileSystemExtraction, ErrorNamesLayerAndPath) {
  Bench bench;
  bench.make(ExtractionProduct::file_system);
  try {
    static_cast<void>(bench.extract(
        {TarBuilder().file("a", "1").finish(), TarBuilder().file("b/../../c", "2").finish()}));
    ADD_FAILURE() << "was extracted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    EXPECT_NE(std::string(error.what()).find("layer 2: cannot unpack 'b/../../c'"),
              std::string::npos)
        << error.what();
  }
}

// --- distributions ---

TEST(DistributionExtraction, MakesArtifactsOfATree) {
  const std::string kernel = testing::kernel_with(std::string(300'000, 'k'));
  const std::string size(reinterpret_cast<const char*>("\xe4\x93\x04\0"), 4);
  for (const Compression compression : {Compression::gzip, Compression::xz, Compression::zstd}) {
    Bench bench;
    bench.make(ExtractionProduct::distribution);
    const std::string packed = compress(kernel, compression);
    const auto made = bench.extract(
        {TarBuilder()
             .directory("./boot/pyro-initrd/lib/")
             .file("./boot/vmlinuz-6.1",
                   testing::bz_image(compression == Compression::gzip ? packed : packed + size))
             .file("./etc/hostname", "localhost")
             .finish()});
    ASSERT_EQ(made.size(), kArtifactKinds.size());
    EXPECT_TRUE(made.at("vmlinux") == kernel);
    EXPECT_EQ(made.at("initrd.img").substr(0, 6), "070701");
  }
}

TEST(DistributionExtraction, ErrorSaysWhatIsMissing) {
  Bench bench;
  bench.make(ExtractionProduct::distribution);
  try {
    static_cast<void>(bench.extract({TarBuilder().file("./etc/hostname", "x").finish()}));
    ADD_FAILURE() << "was extracted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    EXPECT_NE(std::string(error.what()).find("the tree has no kernel"), std::string::npos);
  }
}

TEST(Extractor, RefusesOtherProductsInPlaceOfDistribution) {
  for (const char* lie : {"WroteNothing", "IncompleteAtTheEnd", "UnpackedWithoutAnArchive"}) {
    const testing::TempDir dir;
    const Error error = failure_with(make_liar(dir, lie), ExtractionProduct::distribution);
    EXPECT_EQ(error.code(), ErrorCode::integrity) << lie << ": " << error.what();
  }
}

TEST(Extractor, NotesMissingConfinementOnce) {
  const testing::TempDir dir;
  const std::filesystem::path liar = make_liar(dir, "Unconfined");
  const Fd file = open_at(AT_FDCWD, (dir / "f").string(), O_RDWR | O_CREAT, 0644, dir / "f");
  std::vector<std::string> notes;
  for (int i = 0; i < 2; ++i) {
    SandboxedExtractor extraction(liar, std::vector<int>(MergedView::kFiles, file.get()), {},
                                  [&](std::string_view note) { notes.emplace_back(note); });
    EXPECT_THROW((void)extraction.finish(), Error);
  }
  EXPECT_EQ(notes, std::vector<std::string>{"the extractor runs without Landlock, seccomp, which "
                                            "this system does not have"});
}

void expect_given_up(const StallLimit& limit) {
  const testing::TempDir dir;
  const Fd file = open_at(AT_FDCWD, (dir / "f").string(), O_RDWR | O_CREAT, 0644, dir / "f");
  SandboxedExtractor extraction(make_liar(dir, "Sleeps"),
                                std::vector<int>(MergedView::kFiles, file.get()), {}, {}, {},
                                limit);
  try {
    (void)extraction.finish();
    FAIL() << "it finished";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::failed);
    EXPECT_EQ(error.message(), "the extractor did nothing for 1 s");
  }
}

TEST(Extractor, StalledExtractorFails) {
  expect_given_up({.interval = std::chrono::milliseconds(5), .checks = 3});
}

// A host program may have a timer that interrupts every wait.
TEST(Extractor, StalledExtractorFailsDespiteSignals) {
  struct sigaction note {};
  struct sigaction before {};
  note.sa_handler = [](int) {};
  ASSERT_EQ(::sigaction(SIGALRM, &note, &before), 0);
  constexpr itimerval kOften{{0, 10'000}, {0, 10'000}};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &kOften, nullptr), 0);
  expect_given_up({.interval = std::chrono::milliseconds(100), .checks = 3});
  constexpr itimerval kNone{};
  ASSERT_EQ(::setitimer(ITIMER_REAL, &kNone, nullptr), 0);
  ::sigaction(SIGALRM, &before, nullptr);
}

/// Sleeps, or spins, in a process of its own.
class StallWatchTest : public ::testing::Test {
 protected:
  static ProcessStart shell(const std::string& script) {
    return {.program = "/bin/sh", .arguments = {"sh", "-c", script}};
  }

  static bool stalls(StallWatch& watch, int steps) {
    for (int i = 0; i < steps; ++i) {
      if (watch.has_stalled()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return false;
  }
};

TEST_F(StallWatchTest, IgnoresBusyProcess) {
  const Subprocess busy(shell("while :; do :; done"), "a shell");
  StallWatch watch(busy.number(), 3);
  EXPECT_FALSE(stalls(watch, 200));
}

TEST_F(StallWatchTest, IgnoresDebuggedProcess) {
  const Subprocess debugged(shell("exec sleep 600"), "a shell");
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, debugged.number(), nullptr, nullptr), 0);
  ASSERT_EQ(::ptrace(PTRACE_INTERRUPT, debugged.number(), nullptr, nullptr), 0);
  ASSERT_EQ(::waitpid(debugged.number(), nullptr, __WALL), debugged.number());
  StallWatch watch(debugged.number(), 3);
  EXPECT_FALSE(stalls(watch, 50));
}

TEST_F(StallWatchTest, DetectsStoppedProcess) {
  const Subprocess stopped(shell("while :; do :; done"), "a shell");
  ASSERT_EQ(::kill(stopped.number(), SIGSTOP), 0);
  StallWatch watch(stopped.number(), 3);
  EXPECT_TRUE(stalls(watch, 100'000));
}

TEST_F(StallWatchTest, DetectsSleepingProcess) {
  const Subprocess sleeping(shell("exec sleep 600"), "a shell");
  StallWatch watch(sleeping.number(), 3);
  EXPECT_TRUE(stalls(watch, 100'000));
}

TEST(Extractor, AbortEndsWriteToStalledExtractor) {
  const testing::TempDir dir;
  const std::filesystem::path liar = make_liar(dir, "Sleeps");
  const Fd file = open_at(AT_FDCWD, (dir / "f").string(), O_RDWR | O_CREAT, 0644, dir / "f");
  SandboxedExtractor extraction(liar, std::vector<int>(MergedView::kFiles, file.get()), {});
  std::thread thread([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    extraction.abort();
  });
  extraction.begin_layer("layer");
  const std::vector<std::byte> chunk(kChunkSize);
  const auto write_for_ever = [&] {
    while (true) extraction.write(chunk);
  };
  try {
    write_for_ever();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::interrupted);
  }
  thread.join();
}

// --- layers that are one artifact ---

LayerForm form_of(LayerForm::Shape shape, std::size_t kind) {
  return {shape, static_cast<std::uint32_t>(kind), Checksums::leave};
}

Bench::Layer file_layer(std::size_t kind, std::string bytes) {
  return {form_of(LayerForm::Shape::file, kind), std::move(bytes)};
}

/// Data, a hole, data that does not end at a block.
std::string sparse_content() {
  std::string content(5'000'003, '\0');
  content.replace(10, 5, "front");
  content.replace(2'000'000, 6, "middle");
  content.replace(content.size() - 3, 3, "end");
  return content;
}

TEST(FileLayers, ExtractsArtifactsByteForByte) {
  const std::string root = sparse_content();
  // An initrd.img is compressed by itself, and stays so.
  const std::string initrd = testing::compress("modules", Compression::gzip);
  Bench bench;
  const Artifacts expected = {{"vmlinux", ""}, {"rootfs.ext4", root}, {"initrd.img", initrd}};
  EXPECT_EQ(bench.extract(
                {file_layer(kInitrd, initrd), file_layer(kKernel, ""), file_layer(kRootfs, root)}),
            expected);
  EXPECT_LE(bench.allocated(kRootfs), 3U * 4096);
}

TEST(FileLayers, DecompressesCompressedFilesOnce) {
  const std::string root = sparse_content();
  const std::string initrd = testing::compress("modules", Compression::gzip);
  for (const Compression compression : {Compression::none, Compression::gzip, Compression::zstd,
                                        Compression::xz, Compression::bzip2}) {
    const auto layer = [&](std::size_t kind, const std::string& content) {
      return Bench::Layer{form_of(LayerForm::Shape::compressed_file, kind),
                          testing::compress(content, compression)};
    };
    Bench bench;
    auto layers = std::vector{layer(kKernel, "kernel"), layer(kRootfs, root)};
    if (compression != Compression::none) layers.push_back(layer(kInitrd, initrd));
    const auto content = bench.extract(layers);
    EXPECT_EQ(content.at("vmlinux"), "kernel");
    EXPECT_TRUE(content.at("rootfs.ext4") == root);
    EXPECT_LE(bench.allocated(kRootfs), 3U * 4096);
    EXPECT_EQ(content.contains("initrd.img"), compression != Compression::none);
    if (content.size() == 3) {
      EXPECT_EQ(content.at("initrd.img"), initrd);
    }
  }
}

TEST(FileLayers, UpperLayerOverridesLowerTarOrFile) {
  const Bench::Layer tar{{}, both().finish()};
  EXPECT_EQ(Bench().extract({tar, file_layer(kKernel, "other")}),
            (Artifacts{{"vmlinux", "other"}, {"rootfs.ext4", "root"}}));
  EXPECT_EQ(Bench().extract({file_layer(kKernel, "a longer one"), tar}), kBoth);
}

TEST(Artifacts, RejectsTotalSizeAboveLimit) {
  constexpr std::int64_t kSize = 64 << 20;
  const testing::SparseFile hollow{.size = kSize, .extents = {{0, 1}}, .stored = "x"};
  TarBuilder tar;
  tar.file("vmlinux", "");
  for (const char* name : {"rootfs.ext4", "a/rootfs.ext4", "b/rootfs.ext4", "c/rootfs.ext4"}) {
    tar.sparse(SparseFormat::pax_1_0, name, hollow);
  }
  const auto outcome = [&](std::uint64_t other_bytes) {
    Bench bench(
        {.rootfs_bytes = kSize, .kernel_bytes = 0, .initrd_bytes = 0, .other_bytes = other_bytes});
    try {
      bench.extract({tar.finish()});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("extracted");
  };
  EXPECT_EQ(outcome(3 * kSize), "extracted");
  EXPECT_EQ(outcome(3 * kSize - 1), "layer 1: its artifacts take more than 255 MiB together");
}

TEST(FileLayers, RejectsOversizedTruncatedAndMissingArtifacts) {
  const auto refused = [](const std::vector<Bench::Layer>& layers) {
    try {
      Bench({.rootfs_bytes = 1U << 20, .kernel_bytes = 4096}).extract(layers);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::integrity);
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_EQ(refused({file_layer(kKernel, std::string(4097, 'k'))}),
            "layer 1: 'vmlinux' would take 0 MiB; the limit is 0 MiB");
  const std::string bomb = testing::compress(std::string(64U << 20, '\0'), Compression::zstd);
  EXPECT_NE(refused({{form_of(LayerForm::Shape::compressed_file, kRootfs), bomb}})
                .find("the limit is 1 MiB"),
            std::string::npos);
  const std::string cut = testing::compress(std::string(9000, 'r'), Compression::gzip);
  EXPECT_EQ(refused({{form_of(LayerForm::Shape::compressed_file, kRootfs),
                      cut.substr(0, cut.size() / 2)}}),
            "layer 1: gzip data ends too early");
  EXPECT_EQ(refused({file_layer(kKernel, "kernel")}),
            "environment archive did not contain rootfs.ext4");
}

}  // namespace
}  // namespace pyro
