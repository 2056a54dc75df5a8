#include "oci/manifest.h"

#include <gtest/gtest.h>

#include "pyro/error.h"

namespace pyro {
namespace {

const std::string kOciIndex = "application/vnd.oci.image.index.v1+json";
const std::string kOciManifest = "application/vnd.oci.image.manifest.v1+json";
const std::string kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
const std::string kBlobHex(64, 'a');

std::string entry(const std::string& more = "", const std::string& size = "7") {
  return R"({"mediaType": ")" + kOciManifest + R"(", "digest": "sha256:)" + kBlobHex +
         R"(", "size": )" + size + more + "}";
}

std::string for_platform(const std::string& os, const std::string& architecture) {
  return entry(R"(, "platform": {"os": ")" + os + R"(", "architecture": ")" + architecture +
               R"("})");
}

std::string repeated(const std::string& text, std::size_t count) {
  std::string list;
  for (std::size_t i = 0; i < count; ++i) list += (i == 0 ? "" : ",") + text;
  return list;
}

std::string manifest_of(const std::string& layers, const std::string& more = "") {
  return R"({"schemaVersion": 2, "layers": [)" + layers + "]" + more + "}";
}

std::string index_of(const std::string& entries) {
  return R"({"schemaVersion": 2, "manifests": [)" + entries + "]}";
}

Index parse_index(const std::string& entries) {
  return std::get<Index>(parse_manifest(index_of(entries), ""));
}

std::string manifest_error(const std::string& text, const std::string& content_type = "") {
  try {
    static_cast<void>(parse_manifest(text, content_type));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.message();
  }
  return "no error";
}

TEST(ManifestTest, ParsesImageManifest) {
  const auto parsed = parse_manifest(
      manifest_of(entry() + "," + entry("", "9007199254740992"),
                  R"(, "mediaType": ")" + kDockerManifest + R"(", "config": {}, "x": null)"),
      kDockerManifest);
  const auto& manifest = std::get<Manifest>(parsed);
  EXPECT_EQ(manifest.media_type, kDockerManifest);
  ASSERT_EQ(manifest.layers.size(), 2U);
  EXPECT_EQ(manifest.layers[0].digest, Digest::parse_hex(kBlobHex));
  EXPECT_EQ(manifest.layers[0].size, 7U);
  EXPECT_EQ(manifest.layers[1].size, std::uint64_t{1} << 53);
}

TEST(ManifestTest, ParsesIndex) {
  const Index index = parse_index(for_platform("linux", "arm64") + "," + entry());
  ASSERT_EQ(index.manifests.size(), 2U);
  EXPECT_EQ(index.manifests[0].platform->architecture, "arm64");
  EXPECT_FALSE(index.manifests[1].platform);
}

TEST(ManifestTest, AcceptsTypeFromEitherSideAndRejectsContradiction) {
  const std::string own = R"(, "mediaType": ")" + kOciManifest + R"(")";
  EXPECT_EQ(manifest_error(manifest_of(entry()), kOciManifest), "no error");
  EXPECT_EQ(manifest_error(manifest_of(entry(), own), ""), "no error");
  EXPECT_EQ(manifest_error(manifest_of(entry()), "application/json"), "no error");
  EXPECT_EQ(manifest_error(manifest_of(entry(), own), kDockerManifest),
            "the manifest says that it is " + kOciManifest + ", but came as " + kDockerManifest);
  EXPECT_EQ(manifest_error(manifest_of(entry()), kOciIndex),
            "the manifest is not what its type says: " + kOciIndex);
  EXPECT_EQ(manifest_error(manifest_of(entry(), R"(, "mediaType": "application/x")")),
            "the manifest is of an unsupported type: application/x");
  EXPECT_EQ(manifest_error(manifest_of(entry(), R"(, "mediaType": 1)")),
            "\"mediaType\" is not a string");
}

TEST(ManifestTest, RejectsInvalidManifests) {
  const struct {
    std::string json;
    const char* message;
  } cases[] = {
      {"[]", "the manifest is not a JSON object"},
      {"",
       "line 1, column 1: not valid JSON: unexpected end of input; expected '[', '{', or a "
       "literal"},
      {"{}", "the manifest's schemaVersion is not 2"},
      {R"({"schemaVersion": "2"})", "the manifest's schemaVersion is not 2"},
      {R"({"schemaVersion": 2.0})", "the manifest's schemaVersion is not 2"},
      {R"({"schemaVersion": 1})",
       "the image has a manifest of Docker's schema 1, which is no longer in use"},
      {R"({"schemaVersion": 2})", "the manifest has neither layers nor manifests"},
      {R"({"schemaVersion": 2, "Layers": []})",
       "the manifest has a field \"Layers\", which some read as \"layers\""},
      {manifest_of(entry(), R"(, "manifests": [])"), "the manifest has both manifests and layers"},
      {manifest_of(entry(), R"(, "layers": [])"), "field 'layers': given twice"},
      {R"({"schemaVersion": 2, "layers": {}})", "\"layers\" is not a list"},
      {manifest_of(""), "the image has no layers"},
      {manifest_of(repeated(entry(), 129)), "there are 129 layers; at most 128 are supported"},
      {index_of(repeated(entry(), 257)), "there are 257 manifests; at most 256 are supported"},
      {manifest_of("1"), "a descriptor is not an object"},
      {index_of(entry(R"(, "platform": 1)")), "a descriptor's platform is not an object"},
      {index_of(entry(R"(, "platform": {"os": 1})")), "\"os\" is not a string"},
  };
  for (const auto& c : cases) EXPECT_EQ(manifest_error(c.json), c.message) << c.json;
  EXPECT_EQ(manifest_error(manifest_of(repeated(entry(), 64))), "no error");
  EXPECT_EQ(manifest_error(index_of(repeated(entry(), 256))), "no error");
}

TEST(ManifestTest, RejectsInvalidSizes) {
  for (const char* size : {"-1", "1.5", "1e3", "9007199254740993", "9223372036854775808",
                           "99999999999999999999", "\"7\"", "null", "true"}) {
    EXPECT_EQ(manifest_error(manifest_of(entry("", size))),
              "a descriptor's size is missing or not a number of bytes")
        << size;
  }
  EXPECT_EQ(manifest_error(manifest_of(R"({"digest": "sha256:)" + kBlobHex + R"("})")),
            "a descriptor's size is missing or not a number of bytes");
}

TEST(ManifestTest, RejectsMalformedAndUnsupportedDigests) {
  const auto with_digest = [](const std::string& digest) {
    return manifest_error(manifest_of(R"({"size": 1, "digest": ")" + digest + R"("})"));
  };
  for (const std::string algorithm : {"sha512", "md5", "SHA256"}) {
    EXPECT_EQ(with_digest(algorithm + ":" + kBlobHex),
              "a digest uses the algorithm " + algorithm + "; only sha256 is supported");
  }
  for (const std::string& digest :
       {std::string(), kBlobHex, "sha256:" + kBlobHex.substr(1), "sha256:" + kBlobHex + "a",
        "sha256:" + std::string(64, 'A'), std::string("sha256:../../x")}) {
    EXPECT_EQ(with_digest(digest),
              "a descriptor's digest is missing or malformed: \"" + digest + "\"");
  }
}

TEST(ManifestTest, RejectsFieldsLongerThan256Bytes) {
  const std::string largest(256, 'x');
  const std::string longer = largest + "x";
  const auto with_type = [](const std::string& type) {
    return manifest_error(manifest_of(entry(), R"(, "mediaType": ")" + type + "\""));
  };
  EXPECT_EQ(with_type(largest), "the manifest is of an unsupported type: " + largest);
  EXPECT_EQ(with_type(longer), "\"mediaType\" is longer than 256 bytes");
  EXPECT_EQ(manifest_error(index_of(for_platform(longer, "amd64"))),
            "\"os\" is longer than 256 bytes");
  EXPECT_EQ(manifest_error(manifest_of(R"({"size": 1, "digest": ")" + longer + R"("})")),
            "\"digest\" is longer than 256 bytes");
  const std::string own = R"(, "mediaType": ")" + kOciManifest + "\"";
  EXPECT_LT(manifest_error(manifest_of(entry(), own), std::string(100'000, 'x')).size(), 500U);
}

TEST(PlatformTest, IgnoresConfigFieldLongerThan256Bytes) {
  const std::string longer(257, 'x');
  const Platform platform =
      config_platform(R"({"os": ")" + longer + R"(", "architecture": "arm64"})");
  EXPECT_EQ(platform.os, "");
  EXPECT_EQ(platform.architecture, "arm64");
}

TEST(PlatformTest, ListsAtMostTwentyPlatforms) {
  const auto list_of = [](std::size_t count) {
    return list_platforms(parse_index(repeated(for_platform("linux", "arm64"), count)));
  };
  EXPECT_TRUE(list_of(20).ends_with("linux/arm64, linux/arm64"));
  EXPECT_EQ(list_of(21), list_of(20) + ", ...");
}

TEST(PlatformTest, ChoosesFirstMatchingEntry) {
  const struct {
    std::string entries;
    int chosen;  // -1: none
  } cases[] = {
      {for_platform("windows", "amd64") + "," + for_platform("linux", "amd64"), 1},
      {for_platform("linux", "x86_64") + "," + for_platform("linux", "amd64"), 0},
      {for_platform("linux", "arm64"), -1},
      {for_platform("unknown", "unknown"), -1},
      {entry(), -1},
      {entry(R"(, "platform": {"os": "linux", "architecture": "amd64"},
               "annotations": {"vnd.docker.reference.type": "attestation-manifest"})"),
       -1},
      {"", -1},
  };
  for (const auto& c : cases) {
    const Index index = parse_index(c.entries);
    const Descriptor* const chosen = choose_platform(index);
    EXPECT_EQ(chosen, c.chosen < 0 ? nullptr : &index.manifests[static_cast<std::size_t>(c.chosen)])
        << c.entries;
  }
}

TEST(PlatformTest, ReturnsImagesWithoutPlatform) {
  const Index index = parse_index(
      entry() + "," + for_platform("linux", "arm64") + "," +
      entry(R"(, "annotations": {"vnd.docker.reference.type": "attestation-manifest"})") +
      R"(,{"mediaType": "application/x", "size": 1, "digest": "sha256:)" + kBlobHex + R"("})");
  ASSERT_EQ(entries_without_platform(index).size(), 1U);
  EXPECT_EQ(list_platforms(index), "linux/arm64");
}

}  // namespace
}  // namespace pyro
