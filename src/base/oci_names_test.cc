// Tests of the grammar of registries, repositories and tags.
#include "base/oci_names.h"

#include <gtest/gtest.h>

#include <string>

namespace pyro {
namespace {

using namespace std::string_view_literals;

const std::string kHex(64, 'a');

TEST(OciNames, Registry) {
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

TEST(OciNames, Repository) {
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

TEST(OciNames, Tag) {
  for (const auto good : {"1.0.0"sv, "latest"sv, "_x"sv, "A-b.c_d"sv}) {
    EXPECT_TRUE(is_oci_tag(good)) << good;
  }
  for (const auto bad : {""sv, ".x"sv, "-x"sv, "a/b"sv, "a:b"sv, ".."sv, "a b"sv, "a?"sv}) {
    EXPECT_FALSE(is_oci_tag(bad)) << bad;
  }
  EXPECT_TRUE(is_oci_tag(std::string(128, 'a')));
  EXPECT_FALSE(is_oci_tag(std::string(129, 'a')));
}

TEST(OciNames, Reference) {
  EXPECT_TRUE(is_oci_reference("1.0.0"));
  EXPECT_TRUE(is_oci_reference("sha256:" + kHex));
  EXPECT_FALSE(is_oci_reference("sha512:" + kHex + kHex));
  EXPECT_FALSE(is_oci_reference("sha256:" + kHex + "a"));
  EXPECT_FALSE(is_oci_reference("sha256:"));
}

TEST(OciGrammar, Registries) {
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

TEST(OciGrammar, Repositories) {
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

TEST(OciGrammar, Tags) {
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

TEST(OciNames, KnowsThisMachine) {
  for (const char* host : {"localhost", "LOCALHOST", "127.0.0.1", "127.255.0.9", "::1"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"", "localhost.example", "127.0.0.1.example", "128.0.0.1", "0.0.0.0",
                           "::2", "127.1", "0x7f.0.0.1", "2130706433", "localhost."}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

TEST(LayoutUrls, EndTheirPathAtTheFirstColon) {
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

TEST(OciNames, OnlyUrlsHaveFragments) {
  EXPECT_EQ(fragment_of("https://h/a?b#c#d"), "c#d");
  EXPECT_EQ(fragment_of("HTTP://h#"), "");
  EXPECT_EQ(fragment_of("file:///a#b"), "b");
  for (const char* url : {"https://h/a", "/a#b", "./a#b", "a#b", "oci:/a#b", "oci-archive:a#b"}) {
    EXPECT_EQ(fragment_of(url), std::nullopt) << url;
  }
}

}  // namespace
}  // namespace pyro
