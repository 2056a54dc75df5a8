// URLs: parsed, resolved, encoded, redacted.
#include "net/url.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace pyro {
namespace {

TEST(UrlTest, RendersNormalizedUrls) {
  const struct {
    const char* text;
    const char* rendered;
  } cases[] = {
      {"https://registry.example/v2/", "https://registry.example/v2/"},
      {"HTTPS://Registry.Example", "https://registry.example/"},
      {"https://h:443/x", "https://h/x"},
      {"http://h:443/x?y#z", "http://h:443/x?y"},
      {"http://h:80", "http://h/"},
      {"https://h?a=b", "https://h/?a=b"},
      {"https://[::1]:5000/a", "https://[::1]:5000/a"},
      {"https://user:pw@h/a", "https://h/a"},
      {"https://h/a@b", "https://h/a@b"},
  };
  for (const auto& c : cases) {
    const auto url = Url::parse(c.text);
    ASSERT_TRUE(url) << c.text;
    EXPECT_EQ(url->to_string(), c.rendered) << c.text;
  }
}

TEST(UrlTest, RejectsInvalidAndAmbiguousUrls) {
  for (const char* text : {"",
                           "https://",
                           "https:///x",
                           "https:/h/x",
                           "h/x",
                           "//h/x",
                           "file:///etc/passwd",
                           "ftp://h/",
                           "https://h:0/",
                           "https://h:65536/",
                           "https://h:/",
                           "https://h:5x/",
                           "https://h:-1/",
                           "https://a@b@h/",
                           "https://h\\@evil/",
                           "https://h /",
                           "https://h/\n",
                           "https://h/\xc3\xa9",
                           "https://[::1",
                           "https://[::1]x/",
                           "https://[h]/",
                           "https://[]/",
                           "https://::1/",
                           "https://h%2f/"}) {
    EXPECT_FALSE(Url::parse(text)) << text;
  }
}

TEST(UrlTest, SeparatesUserInfo) {
  const auto url = Url::parse("https://us%20er:p:w@h/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->userinfo, "us%20er:p:w");
  EXPECT_EQ(url->host, "h");
  EXPECT_EQ(percent_decode(url->userinfo), "us er:p:w");
}

TEST(UrlTest, ComparesOrigins) {
  const struct {
    const char* a;
    const char* b;
    bool same;
  } cases[] = {
      {"https://h/a", "https://H:443/b", true},   {"https://h/", "http://h/", false},
      {"https://h/", "https://h:444/", false},    {"https://h/", "https://www.h/", false},
      {"http://h:443/", "https://h:443/", false}, {"https://[::1]/", "https://[::1]/x", true},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(same_origin(*Url::parse(c.a), *Url::parse(c.b)), c.same) << c.a << " " << c.b;
  }
}

TEST(UrlTest, ResolvesLocations) {
  const Url base = *Url::parse("https://user:pw@h:5000/v2/a/blobs/x?token=1");
  const struct {
    const char* location;
    const char* resolved;
  } cases[] = {
      {"https://cdn.example/x?sig=1#f", "https://cdn.example/x?sig=1"},
      {"http://cdn.example", "http://cdn.example/"},
      {"//cdn.example/x", "https://cdn.example/x"},
      {"/token", "https://h:5000/token"},
      {"y", "https://h:5000/v2/a/blobs/y"},
      {"../y", "https://h:5000/v2/a/y"},
      {"./y/.", "https://h:5000/v2/a/blobs/y/"},
      {"/../../y/..", "https://h:5000/"},
      {"?b", "https://h:5000/v2/a/blobs/x?b"},
      {"", "https://h:5000/v2/a/blobs/x?token=1"},
      {"/a b", "https://h:5000/a%20b"},
      {"/caf\xc3\xa9", "https://h:5000/caf%C3%A9"},
      {"a/b:c", "https://h:5000/v2/a/blobs/a/b:c"},
  };
  for (const auto& c : cases) {
    const auto url = resolve(base, c.location);
    ASSERT_TRUE(url) << c.location;
    EXPECT_EQ(url->to_string(), c.resolved) << c.location;
    EXPECT_EQ(url->userinfo, "") << c.location;
  }
  for (const char* location : {"file:///x", "gopher://h/", "https://", "javascript:x", "/a\nb"}) {
    EXPECT_FALSE(resolve(base, location)) << location;
  }
}

TEST(UrlTest, PercentEncodesAndDecodes) {
  EXPECT_EQ(percent_encode("repository:team/env:pull a+b"),
            "repository%3Ateam%2Fenv%3Apull%20a%2Bb");
  EXPECT_EQ(percent_decode("%41%zz%4"), "A%zz%4");
}

TEST(RedactTest, RemovesUserInfoQueryAndFragment) {
  const struct {
    const char* url;
    const char* shown;
  } cases[] = {
      {"https://h/x", "https://h/x"},        {"https://h/x?X-Amz-Signature=1", "https://h/x"},
      {"https://h/x#secret", "https://h/x"}, {"https://user:pw@h/x@y", "https://h/x@y"},
      {"https://user:p@w@h/", "https://h/"}, {"https://user:pw@h", "https://h"},
      {"https://h?u=a@b", "https://h"},      {"not a url", "not a url"},
      {"file:///a?b", "file:///a"},          {"", ""},
  };
  for (const auto& c : cases) EXPECT_EQ(redact(c.url), c.shown) << c.url;
}

}  // namespace

}  // namespace pyro
