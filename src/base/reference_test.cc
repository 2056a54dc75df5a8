// Names of images: hosts, parts of references, references, and URLs of sources.
#include "base/reference.h"

#include <gtest/gtest.h>

#include <string>

#include "pyro/error.h"

namespace pyro {
namespace {

using namespace std::string_view_literals;

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

TEST(OciNames, ValidatesRegistries) {
  for (const auto good :
       {"registry-1.docker.io"sv, "localhost"sv, "localhost:5000"sv, "127.0.0.1:1"sv, "[::1]"sv,
        "[::1]:65535"sv, "[fe80::1]:443"sv, "Registry.Example"sv}) {
    EXPECT_TRUE(is_oci_registry(good)) << good;
  }
  for (const auto bad : {""sv,
                         "https://ghcr.io"sv,
                         "ghcr.io/team"sv,
                         "a..b"sv,
                         "-a"sv,
                         "a-"sv,
                         "a:"sv,
                         "a:0"sv,
                         "a:65536"sv,
                         "a:123456"sv,
                         "a:x"sv,
                         "a:1:2"sv,
                         "::1"sv,
                         "[::1"sv,
                         "[::1]x"sv,
                         "[]"sv,
                         "[::1]:"sv,
                         "[fe80::1%eth0]"sv,
                         "[1.2.3.4]"sv,
                         "user@host"sv,
                         "a b"sv,
                         "a?b"sv,
                         "a#b"sv,
                         "a\0b"sv,
                         "[::1\0]"sv,
                         "a.b."sv,
                         "x]y:1"sv}) {
    EXPECT_FALSE(is_oci_registry(bad)) << bad;
  }
  EXPECT_FALSE(is_oci_registry(std::string(64, 'a')));
  EXPECT_TRUE(is_oci_registry(std::string(63, 'a')));
}

TEST(OciNames, ValidatesRepositories) {
  for (const auto good :
       {"a"sv, "team/environment"sv, "a/b/c"sv, "a.b"sv, "a_b"sv, "a__b"sv, "a---b"sv, "0/1"sv}) {
    EXPECT_TRUE(is_oci_repository(good)) << good;
  }
  for (const auto bad :
       {""sv, "/"sv, "/a"sv, "a/"sv, "a//b"sv, "A"sv, "a/.."sv, "../a"sv, "a..b"sv, "a___b"sv,
        "a._b"sv, "-a"sv, "a-"sv, "a b"sv, "a:b"sv, "a%2fb"sv, "a?b"sv}) {
    EXPECT_FALSE(is_oci_repository(bad)) << bad;
  }
  EXPECT_TRUE(is_oci_repository(std::string(255, 'a')));
  EXPECT_FALSE(is_oci_repository(std::string(256, 'a')));
}

TEST(OciNames, ValidatesTags) {
  for (const auto good : {"1.0.0"sv, "latest"sv, "_x"sv, "A-b.c_d"sv}) {
    EXPECT_TRUE(is_oci_tag(good)) << good;
  }
  for (const auto bad : {""sv, ".x"sv, "-x"sv, "a/b"sv, "a:b"sv, ".."sv, "a b"sv, "a?"sv}) {
    EXPECT_FALSE(is_oci_tag(bad)) << bad;
  }
  EXPECT_TRUE(is_oci_tag(std::string(128, 'a')));
  EXPECT_FALSE(is_oci_tag(std::string(129, 'a')));
}

TEST(OciNames, ValidatesTagsAndDigests) {
  EXPECT_TRUE(is_oci_reference("1.0.0"));
  EXPECT_TRUE(is_oci_reference("sha256:" + kHex));
  EXPECT_FALSE(is_oci_reference("sha512:" + kHex + kHex));
  EXPECT_FALSE(is_oci_reference("sha256:" + kHex + "a"));
  EXPECT_FALSE(is_oci_reference("sha256:"));
}

TEST(OciGrammar, ValidatesRegistries) {
  for (const char* text : {"registry.example", "registry.example:5000", "localhost", "UPPER.case",
                           "127.0.0.1:1", "[::1]", "[::1]:5000", "a-b.c", "h:65535"}) {
    EXPECT_TRUE(is_oci_registry(text)) << text;
  }
  for (const char* text :
       {"",      " ",           "h:",       "h:0",  "h:65536", "h:notaport", "h:5000/x", "::1",
        "[::1",  "[::1]x",      "[h]",      "[]",   "a..b",    ".a",         "a.",       "-a",
        "a-",    "a_b",         "user@h",   "h/..", "h?",      "h#",         "h:80:80",  "h\n",
        "h\x1b", "caf\xc3\xa9", "http://h", "h:+1", "h: 1"}) {
    EXPECT_FALSE(is_oci_registry(text)) << text;
  }
}

TEST(OciGrammar, ValidatesRepositories) {
  for (const char* text : {"a", "team/env", "a__b", "a--b", "a---b", "a.b", "a_b", "0/1/2",
                           "thalesmaciel/pyro-environment-debian-12"}) {
    EXPECT_TRUE(is_oci_repository(text)) << text;
  }
  for (const char* text :
       {"",    "/",    "a/",  "/a",  "a//b",  "a/./b", "a/../b", "..",         ".a", "a.",
        "-a",  "a-",   "_a",  "a_",  "a___b", "a..b",  "a.-b",   "a-_b",       "A",  "UPPER/case",
        "a b", "a%2e", "a\n", "a?b", "a#b",   "a@b",   "a:b",    "caf\xc3\xa9"}) {
    EXPECT_FALSE(is_oci_repository(text)) << text;
  }
}

TEST(OciGrammar, ValidatesTags) {
  for (const std::string& text :
       {std::string("1.0.0"), std::string("_x"), std::string("A-b.c_d"), std::string(128, 'a')}) {
    EXPECT_TRUE(is_oci_tag(text)) << text;
  }
  for (const std::string& text : {std::string(""), std::string(129, 'a'), std::string(".a"),
                                  std::string("-a"), std::string("a/b"), std::string("a:b"),
                                  std::string("a@b"), std::string("a b"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(is_oci_tag(text)) << text;
  }
}

TEST(OciNames, RecognizesLoopbackHosts) {
  for (const char* host : {"localhost", "LOCALHOST", "127.0.0.1", "127.255.0.9", "::1"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"", "localhost.example", "127.0.0.1.example", "128.0.0.1", "0.0.0.0",
                           "::2", "127.1", "0x7f.0.0.1", "2130706433", "localhost."}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

TEST(LayoutUrls, PathEndsAtFirstColon) {
  struct Row {
    const char* text;
    const char* path;
    const char* tag;
  };
  const Row rows[] = {{"oci:/a/b", "/a/b", ""},
                      {"oci:a:1.0", "a", "1.0"},
                      {"oci-archive:a.tar:debian:12", "a.tar", "debian:12"},
                      {"docker-archive:a.tar:h:5/b:1", "a.tar", "h:5/b:1"},
                      {"OCI:", "", ""},
                      {"oci::x", "", "x"}};
  for (const Row& row : rows) {
    const auto url = split_layout_url(row.text);
    ASSERT_TRUE(url) << row.text;
    EXPECT_EQ(url->path, row.path);
    EXPECT_EQ(url->tag, row.tag);
  }
  for (const char* text : {"", "oci", "/oci:a", "file:///a", "oci-dir:/a", "a/oci:b"}) {
    EXPECT_FALSE(split_layout_url(text)) << text;
  }
}

TEST(OciNames, ReturnsFragmentsOfUrlsOnly) {
  EXPECT_EQ(fragment_of("https://h/a?b#c#d"), "c#d");
  EXPECT_EQ(fragment_of("HTTP://h#"), "");
  EXPECT_EQ(fragment_of("file:///a#b"), "b");
  for (const char* url : {"https://h/a", "/a#b", "./a#b", "a#b", "oci:/a#b", "oci-archive:a#b"}) {
    EXPECT_EQ(fragment_of(url), std::nullopt) << url;
  }
}

TEST(ReferenceTest, MakesReferencesByTagOrDigest) {
  const auto tagged = ImageReference::make("r.example:5000", "team/env", "1.0.0");
  ASSERT_TRUE(tagged);
  EXPECT_EQ(tagged->to_string(), "r.example:5000/team/env:1.0.0");
  EXPECT_EQ(tagged->reference(), "1.0.0");
  EXPECT_FALSE(tagged->digest());

  const auto fixed = ImageReference::make("r.example", "team/env", "sha256:" + kHex);
  ASSERT_TRUE(fixed);
  EXPECT_EQ(fixed->to_string(), "r.example/team/env@sha256:" + kHex);
  EXPECT_EQ(fixed->digest(), Digest::parse("sha256:" + kHex));
}

TEST(ReferenceTest, MapsDockerHubNamesToItsRegistryHost) {
  for (const char* name : {"docker.io", "index.docker.io", "registry-1.docker.io", "Docker.IO"}) {
    const auto image = ImageReference::make(name, "library/debian", "12");
    ASSERT_TRUE(image) << name;
    EXPECT_EQ(image->to_string(), "registry-1.docker.io/library/debian:12");
  }
  for (const char* name : {"docker.io:5000", "docker.io.example", "auth.docker.io"}) {
    EXPECT_EQ(ImageReference::make(name, "a", "1")->registry(), name);
  }
}

TEST(ReferenceTest, RejectsInvalidParts) {
  for (const std::string& reference :
       {std::string(""), "sha256:" + kHex.substr(1), "sha256:" + kHex + "a", "SHA256:" + kHex,
        "sha256:" + std::string(64, 'A'), "sha512:" + kHex + kHex, "md5:" + kHex,
        std::string("sha256:../../x"), std::string("a@b"), std::string("..")}) {
    EXPECT_FALSE(ImageReference::make("r", "a", reference)) << reference;
  }
  EXPECT_FALSE(ImageReference::make("", "a", "b"));
  EXPECT_FALSE(ImageReference::make("r", "A", "b"));
}

TEST(ReferenceTest, RejectsNamesLongerThan255Characters) {
  EXPECT_TRUE(ImageReference::make("r", std::string(253, 'a'), "b"));
  EXPECT_FALSE(ImageReference::make("r", std::string(254, 'a'), "b"));
  EXPECT_FALSE(ImageReference::make("docker.io", std::string(245, 'a'), "b"));
}

TEST(FullReference, ParsesRegistryRepositoryTagAndDigest) {
  struct Case {
    std::string text;
    std::string registry;
    std::string repository;
    std::optional<std::string> tag;
    bool has_digest = false;
  };
  const Case cases[] = {
      {"ghcr.io/team/env:1", "ghcr.io", "team/env", "1"},
      {"ghcr.io/team/env", "ghcr.io", "team/env", std::nullopt},
      {"ghcr.io/team/env@" + kDigest, "ghcr.io", "team/env", std::nullopt, true},
      {"ghcr.io/team/env:1@" + kDigest, "ghcr.io", "team/env", "1", true},
      {"localhost/x", "localhost", "x", std::nullopt},
      {"host:5000/x:y", "host:5000", "x", "y"},
      {"[::1]:5000/x:tag", "[::1]:5000", "x", "tag"},
      {"127.0.0.1:5000/a/b/c:1.0", "127.0.0.1:5000", "a/b/c", "1.0"},
      {"Registry.Example/x:Tag", "Registry.Example", "x", "Tag"},
      {"r.example/a__b/c--d:_1", "r.example", "a__b/c--d", "_1"},
      {"r.example/x:" + std::string(128, 'a'), "r.example", "x", std::string(128, 'a')},
      {"docker.io/library/debian:12", "registry-1.docker.io", "library/debian", "12"},
      {"Docker.io/a/b:1", "registry-1.docker.io", "a/b", "1"},
      {"index.docker.io/a/b", "registry-1.docker.io", "a/b", std::nullopt},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    const FullReference parsed = FullReference::parse(c.text);
    EXPECT_EQ(parsed.registry, c.registry);
    EXPECT_EQ(parsed.repository, c.repository);
    EXPECT_EQ(parsed.tag, c.tag);
    EXPECT_EQ(parsed.digest.has_value(), c.has_digest);
    if (parsed.digest) {
      EXPECT_EQ(parsed.digest->to_string(), kDigest);
    }
  }
}

TEST(FullReference, RejectsInvalidReferencesWithReason) {
  struct Case {
    std::string text;
    const char* says;  ///< What is wrong, or what to do.
  };
  const Case cases[] = {
      {"", "empty"},
      {"  ", "empty"},
      {"ubuntu", "docker.io/library/ubuntu"},
      {"ubuntu:22.04", "docker.io/library/ubuntu:22.04"},
      {"team/env:1", "docker.io/team/env:1"},
      {"UPPER/case", "does not say which registry"},
      {"::1/x", "'::1' is not a registry"},
      {"host:notaport/x", "'host:notaport' is not a registry"},
      {"host:0/x", "is not a registry"},
      {"host:65536/x", "is not a registry"},
      {"host:/x", "is not a registry"},
      {"r.example/Team/Env", "'Team/Env' is not a repository"},
      {"r.example/", "is not a repository"},
      {"r.example//b", "is not a repository"},
      {"r.example/a/./b", "is not a repository"},
      {"r.example/a/../b", "is not a repository"},
      {"r.example/a/", "is not a repository"},
      {"r.example/a___b", "is not a repository"},
      {"r.example/a.-b", "is not a repository"},
      {"r.example/%2e%2e/x", "is not a repository"},
      {std::string("r.example/a\0b", 13), "is not a repository"},
      {"r.example/a\nb", "is not a repository"},
      {"r.example/\xd0\xb0", "is not a repository"},
      {"r.example/x:", "is not a tag"},
      {"r.example/x:.a", "is not a tag"},
      {"r.example/x:-a", "is not a tag"},
      {"r.example/x:" + std::string(129, 'a'), "is not a tag"},
      {"r.example/x@", "no digest"},
      {"r.example/x@sha256:" + std::string(63, 'a'), "no digest"},
      {"r.example/x@sha256:" + std::string(65, 'a'), "no digest"},
      {"r.example/x@sha256:" + std::string(64, 'A'), "no digest"},
      {"r.example/x@sha512:" + kHex, "no digest"},
      {"r.example/x@md5:" + std::string(32, 'a'), "no digest"},
      {"r.example/x@" + kDigest + "@" + kDigest, "no digest"},
      {"r.example/" + std::string(246, 'a'), "255"},
      {"docker.io/ubuntu:22.04", "library/ubuntu"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.text);
    try {
      static_cast<void>(FullReference::parse(c.text));
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage);
      EXPECT_NE((error.message() + error.hint()).find(c.says), std::string::npos)
          << error.message() << " / " << error.hint();
    }
  }
}

TEST(FullReference, AcceptsNamesOf255Characters) {
  EXPECT_NO_THROW(static_cast<void>(FullReference::parse("r.example/" + std::string(245, 'a'))));
}

TEST(FullReference, ErrorsOmitPasswords) {
  for (const char* text : {"robin:secret@r.example/x", "robin:secret@r.example/x:1"}) {
    try {
      static_cast<void>(FullReference::parse(text));
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ((std::string(error.what()) + error.hint()).find("secret"), std::string::npos);
    }
  }
}

TEST(ParseLocation, PathsAndFileUrlsArePaths) {
  const struct {
    const char* url;
    const char* path;
  } cases[] = {
      {"/srv/tool.tar", "/srv/tool.tar"},        {"/srv/a://b", "/srv/a://b"},
      {"file:///srv/a%20b.tar", "/srv/a b.tar"}, {"file://localhost/srv/tool.tar", "/srv/tool.tar"},
      {"file:/srv/tool.tar", "/srv/tool.tar"},   {"FILE:///srv/tool.tar", "/srv/tool.tar"},
  };
  for (const auto& c : cases) {
    const Location location = parse_location(c.url, {}, {});
    const auto* const local = std::get_if<PathSource>(&location);
    ASSERT_NE(local, nullptr) << c.url;
    EXPECT_EQ(local->path, c.path) << c.url;
  }
}

TEST(ParseLocation, KeepsPinOfItsKind) {
  const auto pin = Digest::parse_hex(std::string(64, 'a'));
  const auto sha256 = Digest::parse_hex(std::string(64, 'b'));
  const Location layout = parse_location("OCI-archive:/srv/image.tar:team:1", pin, sha256);
  ASSERT_TRUE(std::holds_alternative<LayoutSource>(layout));
  EXPECT_EQ(std::get<LayoutSource>(layout).transport, "oci-archive");
  EXPECT_EQ(std::get<LayoutSource>(layout).path, "/srv/image.tar");
  EXPECT_EQ(std::get<LayoutSource>(layout).tag, "team:1");
  EXPECT_EQ(std::get<LayoutSource>(layout).pin, pin);
  const Location web = parse_location("https://r.example/a.tar", pin, sha256);
  ASSERT_TRUE(std::holds_alternative<WebSource>(web));
  EXPECT_EQ(std::get<WebSource>(web).url, "https://r.example/a.tar");
  EXPECT_EQ(std::get<WebSource>(web).sha256, sha256);
}

}  // namespace

}  // namespace pyro
