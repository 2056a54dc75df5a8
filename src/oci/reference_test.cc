#include "oci/reference.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

const std::string kHex(64, 'a');

TEST(ReferenceTest, Registries) {
  for (const char* text : {"registry.example", "registry.example:5000", "localhost", "UPPER.case",
                           "127.0.0.1:1", "[::1]", "[::1]:5000", "a-b.c", "h:65535"}) {
    EXPECT_TRUE(is_valid_registry(text)) << text;
  }
  for (const char* text :
       {"",      " ",           "h:",       "h:0",  "h:65536", "h:notaport", "h:5000/x", "::1",
        "[::1",  "[::1]x",      "[h]",      "[]",   "a..b",    ".a",         "a.",       "-a",
        "a-",    "a_b",         "user@h",   "h/..", "h?",      "h#",         "h:80:80",  "h\n",
        "h\x1b", "caf\xc3\xa9", "http://h", "h:+1", "h: 1"}) {
    EXPECT_FALSE(is_valid_registry(text)) << text;
  }
}

TEST(ReferenceTest, Repositories) {
  for (const char* text : {"a", "team/env", "a__b", "a--b", "a---b", "a.b", "a_b", "0/1/2",
                           "thalesmaciel/pyro-environment-debian-12"}) {
    EXPECT_TRUE(is_valid_repository(text)) << text;
  }
  for (const char* text :
       {"",    "/",    "a/",  "/a",  "a//b",  "a/./b", "a/../b", "..",         ".a", "a.",
        "-a",  "a-",   "_a",  "a_",  "a___b", "a..b",  "a.-b",   "a-_b",       "A",  "UPPER/case",
        "a b", "a%2e", "a\n", "a?b", "a#b",   "a@b",   "a:b",    "caf\xc3\xa9"}) {
    EXPECT_FALSE(is_valid_repository(text)) << text;
  }
}

TEST(ReferenceTest, Tags) {
  for (const std::string& text :
       {std::string("1.0.0"), std::string("_x"), std::string("A-b.c_d"), std::string(128, 'a')}) {
    EXPECT_TRUE(is_valid_tag(text)) << text;
  }
  for (const std::string& text : {std::string(""), std::string(129, 'a'), std::string(".a"),
                                  std::string("-a"), std::string("a/b"), std::string("a:b"),
                                  std::string("a@b"), std::string("a b"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(is_valid_tag(text)) << text;
  }
}

TEST(ReferenceTest, ImagesByTagOrDigest) {
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

TEST(ReferenceTest, RefusesWhatIsNeitherTagNorDigest) {
  for (const std::string& reference :
       {std::string(""), "sha256:" + kHex.substr(1), "sha256:" + kHex + "a", "SHA256:" + kHex,
        "sha256:" + std::string(64, 'A'), "sha512:" + kHex + kHex, "md5:" + kHex,
        std::string("sha256:../../x"), std::string("a@b"), std::string("..")}) {
    EXPECT_FALSE(ImageReference::make("r", "a", reference)) << reference;
  }
  EXPECT_FALSE(ImageReference::make("", "a", "b"));
  EXPECT_FALSE(ImageReference::make("r", "A", "b"));
}

TEST(ReferenceTest, BoundsTheWholeName) {
  EXPECT_TRUE(ImageReference::make("r", std::string(253, 'a'), "b"));
  EXPECT_FALSE(ImageReference::make("r", std::string(254, 'a'), "b"));
}

}  // namespace
}  // namespace pyro
