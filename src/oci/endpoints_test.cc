#include "oci/endpoints.h"

#include <gtest/gtest.h>

#include "pyro/error.h"

namespace pyro {
namespace {

RegistryRule rule(const std::string& prefix, const std::string& location) {
  return {.prefix = prefix, .location = location, .mirrors = {}, .file = "/etc/r.conf"};
}

ImageReference image(const std::string& registry, const std::string& repository = "team/env",
                     const std::string& reference = "1") {
  return *ImageReference::make(registry, repository, reference);
}

std::string origin(const ImageReference& image, const std::vector<RegistryRule>& rules) {
  return endpoints_of(image, rules).back().image.to_string();
}

TEST(EndpointsTest, WithoutARuleTheImageIsWhereItIs) {
  const auto endpoints = endpoints_of(image("r.example"), {rule("other.example", "x")});
  ASSERT_EQ(endpoints.size(), 1U);
  EXPECT_EQ(endpoints[0].image.to_string(), "r.example/team/env:1");
  EXPECT_FALSE(endpoints[0].is_mirror);
  EXPECT_FALSE(endpoints[0].insecure);
  EXPECT_EQ(endpoints[0].upstream, "");
}

TEST(EndpointsTest, PrefixesEndWhereNamesDo) {
  struct Case {
    const char* prefix;
    const char* registry;
    const char* becomes;
  };
  const std::string digest = "sha256:" + std::string(64, 'a');
  const Case cases[] = {
      {"r.example", "r.example", "x.example/team/env:1"},
      {"r.example/team", "r.example", "x.example/env:1"},
      {"r.example/team/env", "r.example", nullptr},  // leaves no repository
      {"r.example/te", "r.example", "r.example/team/env:1"},
      {"r.exam", "r.example", "r.example/team/env:1"},
      {"r.example", "r.example:5000", "x.example:5000/team/env:1"} /* as podman has it */,
      {"r.example:5000", "r.example:5000", "x.example/team/env:1"},
      {"r.example", "R.Example", "x.example/team/env:1"},
      {"*.example", "r.example", "x.example/team/env:1"},
      {"*.example", "a.b.example:5000", "x.example:5000/team/env:1"},
      {"*.example", "example", "example/team/env:1"},
      {"*.example", "rexample", "rexample/team/env:1"},
      {"*.example", "r.example.org", "r.example.org/team/env:1"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.prefix + std::string(" ") + c.registry);
    const std::vector rules = {rule(c.prefix, "x.example")};
    if (c.becomes == nullptr) {
      EXPECT_THROW(static_cast<void>(origin(image(c.registry), rules)), Error);
    } else {
      EXPECT_EQ(origin(image(c.registry), rules), c.becomes);
    }
  }
  EXPECT_EQ(
      origin(image("r.example", "team/env", digest), {rule("r.example/team/env", "x.example/y")}),
      "x.example/y@" + digest);
  EXPECT_EQ(origin(image("r.example"), {rule("*.example", "")}), "r.example/team/env:1");
}

TEST(EndpointsTest, TheLongestPrefixCountsAlone) {
  RegistryRule wide = rule("r.example", "wide.example");
  wide.mirrors.push_back({.location = "mirror.example"});
  const std::vector rules = {wide, rule("r.example/team", "narrow.example/team"),
                             rule("*.example", "any.example")};
  const auto endpoints = endpoints_of(image("r.example"), rules);
  ASSERT_EQ(endpoints.size(), 1U);
  EXPECT_EQ(endpoints[0].image.to_string(), "narrow.example/team/env:1");
}

TEST(EndpointsTest, MirrorsComeFirstInTheirOrder) {
  RegistryRule mirrored = rule("r.example", "r.example");
  mirrored.insecure = true;
  mirrored.mirrors = {
      {.location = "one.example/cache", .insecure = true},
      {.location = "two.example:5000", .serves_tags = true, .serves_digests = false}};
  const auto endpoints = endpoints_of(image("r.example"), {mirrored});
  ASSERT_EQ(endpoints.size(), 3U);
  EXPECT_EQ(endpoints[0].image.to_string(), "one.example/cache/team/env:1");
  EXPECT_TRUE(endpoints[0].is_mirror && endpoints[0].insecure);
  EXPECT_FALSE(endpoints[0].serves_tags);
  EXPECT_TRUE(endpoints[0].serves_digests);
  EXPECT_EQ(endpoints[0].upstream, "r.example");
  EXPECT_EQ(endpoints[1].image.to_string(), "two.example:5000/team/env:1");
  EXPECT_TRUE(endpoints[1].serves_tags);
  EXPECT_FALSE(endpoints[1].serves_digests || endpoints[1].insecure);
  EXPECT_EQ(endpoints[2].image.to_string(), "r.example/team/env:1");
  EXPECT_TRUE(endpoints[2].insecure && endpoints[2].serves_tags && endpoints[2].serves_digests);
  EXPECT_FALSE(endpoints[2].is_mirror);
}

TEST(EndpointsTest, DockerHubIsKnownByItsName) {
  RegistryRule hub = rule("docker.io", "docker.io");
  hub.mirrors.push_back({.location = "mirror.example"});
  const auto endpoints = endpoints_of(image("registry-1.docker.io"), {hub});
  ASSERT_EQ(endpoints.size(), 2U);
  EXPECT_EQ(endpoints[0].image.to_string(), "mirror.example/team/env:1");
  EXPECT_EQ(endpoints[0].upstream, "docker.io");
  EXPECT_EQ(endpoints[1].image.to_string(), "registry-1.docker.io/team/env:1");
}

TEST(EndpointsTest, DockerHubIsKnownByItsNameWithoutARule) {
  EXPECT_EQ(origin(image("docker.io"), {}), "registry-1.docker.io/team/env:1");
}

TEST(EndpointsTest, ARegistryHasARuleToo) {
  const std::vector rules = {rule("r.example/team", "y.example"), rule("r.example", "x.example"),
                             rule("*.example", "")};
  EXPECT_EQ(find_rule("r.example", rules), &rules[1]);
  EXPECT_EQ(find_rule("r.example:5000", rules), &rules[1]);
  EXPECT_EQ(find_rule("s.example", rules), &rules[2]);
  EXPECT_EQ(find_rule("r.test", rules), nullptr);
}

TEST(EndpointsTest, BlockedIsRefusedByTheFilesName) {
  RegistryRule blocked = rule("r.example/team", "r.example/team");
  blocked.blocked = true;
  try {
    static_cast<void>(endpoints_of(image("r.example"), {blocked}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::network);
    EXPECT_STREQ(error.what(), "the registry r.example/team is blocked by /etc/r.conf");
  }
  EXPECT_EQ(origin(image("r.example", "other/env"), {blocked}), "r.example/other/env:1");
}

TEST(EndpointsTest, NamesThatNoneAreAreRefused) {
  for (const char* location : {"x..example", "x.example:port", "x.example/Team", "x.example//y"}) {
    try {
      static_cast<void>(origin(image("r.example"), {rule("r.example", location)}));
      FAIL() << location;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      EXPECT_NE(std::string(error.what()).find("/etc/r.conf makes "), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace pyro
