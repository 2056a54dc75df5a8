// Tests of the builders of certificates, archives, compressed streams and images, with the
// system's own programs as readers.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/certificates.h"
#include "support/compress.h"
#include "support/hash.h"
#include "support/images.h"
#include "support/process.h"
#include "support/tar_builder.h"
#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

TEST(HashTest, MatchesKnownVectors) {
  EXPECT_EQ(sha256_digest("abc"),
            "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(base64("fo\xff"), "Zm//");
  EXPECT_EQ(base64url("fo\xff?"), "Zm__Pw");
  EXPECT_EQ(base64_decode("Zm9vYg=="), "foob");
  EXPECT_EQ(noise(1000), noise(1000));
  EXPECT_NE(noise(1000), noise(1000, 2));
}

// --- certificates -------------------------------------------------------------------------------

std::string verify(const CertificateAuthority& authority, const KeyPair& leaf,
                   const std::string& name) {
  return run({.argv = {"openssl", "verify", "-CAfile", authority.certificate_file().string(),
                       "-verify_hostname", name, leaf.certificate.string()}})
      .err;
}

TEST(CertificatesTest, OpensslRejectsInvalidLeaves) {
  const TempDir dir;
  const CertificateAuthority authority(dir.path());
  EXPECT_EQ(verify(authority, authority.issue(), "localhost"), "");
  const auto has = [](const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(has(verify(authority, authority.issue(expired_leaf()), "localhost"), "has expired"));
  EXPECT_TRUE(
      has(verify(authority, authority.issue(not_yet_valid_leaf()), "localhost"), "not yet valid"));
  EXPECT_TRUE(
      has(verify(authority, authority.issue(wrong_host_leaf()), "localhost"), "ostname mismatch"));
  EXPECT_TRUE(has(verify(authority, self_signed(dir / "other"), "localhost"), "self-signed"));
}

// --- archives -----------------------------------------------------------------------------------

struct TarRun {
  std::string listing;
  int exit_code;
};

TarRun list_tar(const std::string& tar, const std::string& program = "tar") {
  const ProcessResult result = run({.argv = {program, "-tvf", "-"}, .stdin_text = tar});
  return {result.out + result.err, result.exit_code};
}

void extract(const std::string& tar, const fs::path& dir, const std::string& program) {
  fs::create_directories(dir);
  run_checked({.argv = {program, "-xf", "-"}, .cwd = dir, .stdin_text = tar});
}

// bsdtar is a second reader where it is installed.
std::vector<std::string> tar_programs() {
  std::vector<std::string> programs{"tar"};
  if (find_program("bsdtar")) programs.emplace_back("bsdtar");
  return programs;
}

TEST(TarBuilderTest, TarListsPlainMembers) {
  const std::string long_name = std::string(150, 'n') + "/file";
  const std::string tar = TarBuilder()
                              .directory("boot/")
                              .file("boot/vmlinux", "kernel")
                              .symlink("kernel", "boot/vmlinux")
                              .hardlink("again", "boot/vmlinux")
                              .fifo("pipe")
                              .char_device("null", 1, 3)
                              .block_device("loop", 7, 9)
                              .pax({{"path", long_name}})
                              .file("short", "p")
                              .gnu_long_name(long_name + "2")
                              .file("short", "g")
                              .whiteout("etc/passwd")
                              .opaque_whiteout("var")
                              .finish(10240);
  EXPECT_EQ(tar.size() % 10240, 0u);
  const TarRun listed = list_tar(tar);
  EXPECT_EQ(listed.exit_code, 0) << listed.listing;
  for (const char* part :
       {"drwxr-xr-x 0/0", "kernel -> boot/vmlinux", "again link to boot/vmlinux", "prw-r--r--",
        "crw-r--r-- 0/0             1,3", "brw-r--r-- 0/0             7,9", "/file\n", "/file2\n",
        "etc/.wh.passwd", "var/.wh..wh..opq"}) {
    EXPECT_NE(listed.listing.find(part), std::string::npos) << part << "\n" << listed.listing;
  }
  for (const std::string& program : tar_programs()) EXPECT_EQ(list_tar(tar, program).exit_code, 0);
}

TEST(TarBuilderTest, TweaksChangeHeader) {
  const auto listing = [](const HeaderTweaks& tweaks) {
    return list_tar(TarBuilder().tweak(tweaks).file("name", "12345").finish());
  };
  EXPECT_EQ(listing({.base256_size = true}).exit_code, 0);
  EXPECT_NE(listing({.base256_size = true}).listing.find(" 5 "), std::string::npos);
  EXPECT_NE(listing({.prefix = "folder"}).listing.find("folder/name"), std::string::npos);
  EXPECT_NE(listing({.mode = 0600}).listing.find("-rw-------"), std::string::npos);
  EXPECT_EQ(listing({.magic = TarMagic::v7}).exit_code, 0);
  EXPECT_NE(listing({.wrong_checksum = true}).exit_code, 0);
  EXPECT_NE(listing({.claimed_size = 1 << 20}).exit_code, 0);
  EXPECT_NE(listing({.claimed_size = std::uint64_t{1} << 40}).exit_code, 0);
  EXPECT_NE(listing({.patches = {{124, "99999999999"}}}).exit_code, 0);
}

TEST(TarBuilderTest, PaxRecordsCountTheirOwnLength) {
  EXPECT_EQ(pax_record("a", "b"), "6 a=b\n");
  EXPECT_EQ(pax_record("a", "bbbb"), "9 a=bbbb\n");
  EXPECT_EQ(pax_record("a", "bbbbb"), "11 a=bbbbb\n");
}

std::string holey_content() {
  std::string content(300'000, '\0');
  for (std::size_t at : {4096, 40960, 81920, 122880, 163840, 204800}) {
    content.replace(at, 10, "0123456789");
  }
  return content;
}

TEST(TarBuilderTest, TarExtractsSparseFormats) {
  const std::string content = holey_content();
  for (const SparseFormat format : {SparseFormat::gnu_old, SparseFormat::pax_0_0,
                                    SparseFormat::pax_0_1, SparseFormat::pax_1_0}) {
    const std::string tar = TarBuilder()
                                .sparse(format, "rootfs.ext4", sparse_file(content))
                                .file("after", "x")
                                .finish();
    for (const std::string& program : tar_programs()) {
      const TempDir dir;
      extract(tar, dir.path(), program);
      EXPECT_TRUE(read_file(dir / "rootfs.ext4") == content)
          << program << " format " << static_cast<int>(format);
      EXPECT_EQ(read_file(dir / "after"), "x");
    }
  }
}

TEST(TarBuilderTest, WritesInvalidSparseMaps) {
  const SparseFile file{100, {{50, 10}, {40, -1}, {std::int64_t{1} << 40, 10}}, "stored"};
  const auto built = [&](SparseFormat format, std::string_view part) {
    return TarBuilder().sparse(format, "f", file).finish().find(part) != std::string::npos;
  };
  EXPECT_TRUE(built(SparseFormat::pax_0_0, "GNU.sparse.offset=40\n24 GNU.sparse.numbytes=-1\n") ||
              built(SparseFormat::pax_0_0, "GNU.sparse.offset=40\n26 GNU.sparse.numbytes=-1\n"));
  EXPECT_TRUE(built(SparseFormat::pax_0_1, "GNU.sparse.map=50,10,40,-1,1099511627776,10\n"));
  EXPECT_TRUE(built(SparseFormat::pax_1_0, "3\n50\n10\n40\n-1\n1099511627776\n10\n"));
  EXPECT_TRUE(built(SparseFormat::gnu_old, std::string_view("00000000062\00000000000012\0", 24)));
}

TEST(TarBuilderTest, TarExtractsSparseExtensionBlocks) {
  std::string content(4096 * 100, '\0');
  for (std::size_t at = 0; at < content.size(); at += 8192) content[at] = 'x';
  const std::string tar =
      TarBuilder().sparse(SparseFormat::gnu_old, "f", sparse_file(content)).finish();
  const TempDir dir;
  extract(tar, dir.path(), "tar");
  EXPECT_TRUE(read_file(dir / "f") == content);
}

// --- compression --------------------------------------------------------------------------------

TEST(CompressTest, SystemProgramsDecompressOutput) {
  const std::string text = noise(100'000) + std::string(100'000, 'x');
  const std::pair<Compression, const char*> cases[] = {{Compression::none, "cat"},
                                                       {Compression::gzip, "gunzip"},
                                                       {Compression::zstd, "unzstd"},
                                                       {Compression::xz, "unxz"},
                                                       {Compression::bzip2, "bunzip2"}};
  for (const auto& [compression, program] : cases) {
    const std::string packed = compress(text, compression);
    EXPECT_EQ(packed, compress(text, compression)) << program;
    EXPECT_TRUE(run({.argv = {program}, .stdin_text = packed}).out == text) << program;
    EXPECT_TRUE(run({.argv = {program}, .stdin_text = packed + packed}).out == text + text);
  }
  EXPECT_EQ(run({.argv = {"gunzip"}, .stdin_text = compress("", Compression::gzip)}).exit_code, 0);
}

TEST(CompressTest, ZstdFrameDeclaresWindow) {
  const std::string packed = zstd_with_window("some text", 28);
  const Command plain{.argv = {"zstd", "-dc"}, .stdin_text = packed};
  EXPECT_NE(run(plain).exit_code, 0);
  Command generous = plain;
  generous.argv.push_back("--long=28");
  EXPECT_EQ(run(generous).out, "some text");
  const std::string skipped = zstd_skippable_frame(10) + compress("x", Compression::zstd);
  EXPECT_EQ(run({.argv = {"zstd", "-dc"}, .stdin_text = skipped}).out, "x");
}

// --- images -------------------------------------------------------------------------------------

TEST(ImagesTest, ManifestDescribesItsBlobs) {
  const std::string tar = TarBuilder().file("vmlinux", "k").finish();
  const ImageBuilder builder = ImageBuilder().layer(tar).layer(tar, Compression::zstd);
  const Image image = builder.build();
  const json manifest = json::parse(image.root.bytes);
  EXPECT_EQ(manifest["mediaType"], media_type::kOciManifest);
  EXPECT_EQ(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
  EXPECT_EQ(manifest["layers"][1]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
  EXPECT_EQ(manifest["layers"][1]["digest"], builder.layer_digest(1));
  EXPECT_EQ(image.blobs.at(builder.layer_digest(0)).size(), manifest["layers"][0]["size"]);
  const json config = json::parse(image.blobs.at(manifest["config"]["digest"]));
  EXPECT_EQ(config["rootfs"]["diff_ids"][0], sha256_digest(tar));
  EXPECT_EQ(image.documents.size(), 1u);
}

TEST(ImagesTest, IndexDescribesItsImages) {
  const auto image = [](const std::string& name) {
    return ImageBuilder(ImageFormat::docker).layer(TarBuilder().file(name, "").finish()).build();
  };
  const Image amd64 = image("amd64");
  const Image index = IndexBuilder(ImageFormat::docker)
                          .add(image("arm64"), Platform{"linux", "arm64", "v8"})
                          .add(amd64, Platform{})
                          .add(image("none"), std::nullopt)
                          .add_attestation(image("attestation"), amd64.digest())
                          .edit([](json& content) {
                            content["annotations"] = {{"a", "b"}};
                          })
                          .build();
  const json content = json::parse(index.root.bytes);
  EXPECT_EQ(index.root.media_type, media_type::kDockerList);
  ASSERT_EQ(content["manifests"].size(), 4u);
  EXPECT_EQ(content["manifests"][0]["platform"]["variant"], "v8");
  EXPECT_EQ(content["manifests"][1]["digest"], amd64.digest());
  EXPECT_FALSE(content["manifests"][2].contains("platform"));
  EXPECT_EQ(content["manifests"][3]["annotations"]["vnd.docker.reference.type"],
            "attestation-manifest");
  EXPECT_EQ(content["annotations"]["a"], "b");
  EXPECT_EQ(index.documents.size(), 5u);
  EXPECT_EQ(index.blobs.size(), 8u);
}

}  // namespace
}  // namespace pyro::testing
