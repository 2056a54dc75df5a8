// Mirrors: files of rules, and the hosts of an image by them.
#include "oci/mirrors.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

class RegistriesConfTest : public ::testing::Test {
 protected:
  RegistriesConfTest() {
    char name[] = "/tmp/pyro-registries-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name));
  }
  ~RegistriesConfTest() override { fs::remove_all(root_); }

  fs::path write(const std::string& content, const char* name = "registries.conf") const {
    std::ofstream(root_ / name) << content;
    return root_ / name;
  }

  std::vector<RegistryRule> load(const std::string& content) const {
    return load_registries({write(content)});
  }

  std::string error_of(const std::string& content) const {
    try {
      static_cast<void>(load(content));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::failed);
      const std::string about =
          "cannot use the registries in " + (root_ / "registries.conf").string() + ": ";
      const std::string what = error.what();
      EXPECT_TRUE(what.starts_with(about)) << what;
      return what.substr(about.size());
    }
    return "no error";
  }

  fs::path root_;
};

TEST_F(RegistriesConfTest, ParsesRulesWithAllFields) {
  const auto rules = load(R"(
unqualified-search-registries = ["docker.io"]
short-name-mode = "enforcing"
credential-helpers = ["containers-auth.json"]
[aliases]
"debian" = "docker.io/library/debian"
[[registry]]
prefix = "Registry.Example/team/"
location = "internal.example:5000/copies"
insecure = true
[[registry.mirror]]
location = "mirror.example:5000"
[[registry.mirror]]
location = "other.example/x"
insecure = true
pull-from-mirror = "all"
[[registry.mirror]]
location = "tags.example"
pull-from-mirror = "tag-only"
[[registry.mirror]]
location = "digests.example"
pull-from-mirror = "digest-only"
[[registry]]
location = "bad.example"
blocked = true
)");
  ASSERT_EQ(rules.size(), 2U);
  const RegistryRule& rule = rules[0];
  EXPECT_EQ(rule.prefix, "registry.example/team");
  EXPECT_EQ(rule.location, "internal.example:5000/copies");
  EXPECT_TRUE(rule.insecure);
  EXPECT_FALSE(rule.blocked);
  EXPECT_EQ(rule.file, root_ / "registries.conf");
  ASSERT_EQ(rule.mirrors.size(), 4U);
  EXPECT_EQ(rule.mirrors[0].location, "mirror.example:5000");
  EXPECT_FALSE(rule.mirrors[0].insecure);
  EXPECT_TRUE(rule.mirrors[1].insecure);
  struct Serves {
    bool tags, digests;
  };
  const Serves serves[] = {{false, true}, {true, true}, {true, false}, {false, true}};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(rule.mirrors[i].serves_tags, serves[i].tags) << i;
    EXPECT_EQ(rule.mirrors[i].serves_digests, serves[i].digests) << i;
  }
  EXPECT_EQ(rules[1].prefix, "bad.example");
  EXPECT_TRUE(rules[1].blocked);
}

TEST_F(RegistriesConfTest, NotesIgnoredCredentialHelpers) {
  const struct {
    const char* content;
    bool told;
  } cases[] = {{"credential-helpers = [\"containers-auth.json\", \"secretservice\"]", true},
               {"credential-helpers = [\"containers-auth.json\"]", false},
               {"credential-helpers = []", false},
               {"", false}};
  for (const auto& c : cases) {
    std::vector<std::string> notes;
    static_cast<void>(load_registries({write(c.content)},
                                      [&](std::string_view line) { notes.emplace_back(line); }));
    EXPECT_EQ(notes.size(), c.told ? 1U : 0U) << c.content;
    for (const std::string& note : notes) {
      EXPECT_NE(note.find((root_ / "registries.conf").string()), note.npos);
    }
  }
}

TEST_F(RegistriesConfTest, NormalizesDockerHubNames) {
  for (const char* name : {"docker.io", "index.docker.io", "registry-1.docker.io"}) {
    const auto rules = load(std::string("[[registry]]\nlocation = \"") + name + "/team\"");
    EXPECT_EQ(rules.at(0).prefix, "docker.io/team");
  }
}

TEST_F(RegistriesConfTest, LaterFilesReplaceWholeRules) {
  const fs::path first = write(
      "[[registry]]\nlocation = \"a.example\"\nblocked = true\n"
      "[[registry]]\nlocation = \"b.example\"\nblocked = true\n",
      "1.conf");
  const fs::path second =
      write("[[registry]]\nlocation = \"a.example\"\ninsecure = true\n", "2.conf");
  const auto rules = load_registries({first, second});
  ASSERT_EQ(rules.size(), 2U);
  EXPECT_EQ(rules[0].prefix, "b.example");
  EXPECT_EQ(rules[1].prefix, "a.example");
  EXPECT_FALSE(rules[1].blocked);
  EXPECT_EQ(rules[1].file, second);
  EXPECT_TRUE(load_registries({}).empty());
  EXPECT_TRUE(load("").empty());
}

TEST_F(RegistriesConfTest, ErrorNamesLineAndOmitsContent) {
  struct Case {
    const char* content;
    const char* says;
  };
  const Case cases[] = {
      {"[[registry]]\nlocation = s3cret", "line 2: not TOML"},
      {"[[registry]]\nlocation = \"s3cret\n", "line 2: not TOML"},
      {"\xff\xfe", "line 1: not TOML"},
      {"[[registry]]\nlocation = \"a\"\nlocation = \"b\"\n", "line 3: not TOML"},
      {"[[registry]]\nlocation = \x01", "line 2: a control character"},
      {"[[registry]]\nlocation = \"a\x7f\"", "line 2: a control character"},
      {"\x1b[31m", "line 1: a control character"},
      {"\n\f", "line 2: a control character"},
      {"[{0", "not TOML"},
      {"a = [}", "not TOML"},
      {"[csearue\xc5\x90= 1", "line 1: not TOML"},
      {"[\n0.t", "not TOML"},
      {"registry = 3", "line 1: \"registry\" is not an array of tables"},
      {"[registry]\nlocation = \"a.example\"", "line 1: \"registry\" is not an array of tables"},
      {"[[registry]]\nlocation = 3", "line 2: \"location\" is not a text"},
      {"[[registry]]\nlocation = \"a.example\"\ninsecure = \"yes\"",
       "line 3: \"insecure\" is neither true nor false"},
      {"[[registry]]\nlocation = \"a.example\"\nblocked = 1",
       "line 3: \"blocked\" is neither true nor false"},
      {"[[registry]]\nblocked = true", "line 1: \"location\" is missing"},
      {"[[registry]]\nprefix = \"a.example\"", "line 1: \"location\" is missing"},
      {"[[registry]]\nlocation = \"https://a.example\"",
       "line 2: \"location\" is not host[:port][/path]"},
      {"[[registry]]\nlocation = \"a example\"", "line 2: \"location\" is not host[:port][/path]"},
      {"[[registry]]\nlocation = \"/a\"", "line 2: \"location\" is not host[:port][/path]"},
      {"[[registry]]\nprefix = \"a.*.example\"\nlocation = \"b\"",
       "line 1: \"prefix\" may have a * only as in *.example.com"},
      {"[[registry]]\nprefix = \"*.example/team\"",
       "line 1: \"prefix\" may have a * only as in *.example.com"},
      {"[[registry]]\nlocation = \"a\"\n[[registry.mirror]]\ninsecure = true",
       "line 3: \"location\" is missing"},
      {"[[registry]]\nlocation = \"a\"\n[[registry.mirror]]\nlocation = \"b\"\n"
       "pull-from-mirror = \"never\"",
       "line 5: \"pull-from-mirror\" is none of all, digest-only, tag-only"},
      {"[[registry]]\nlocation = \"a\"\nmirror-by-digest-only = true\n[[registry.mirror]]\n"
       "location = \"b\"\npull-from-mirror = \"all\"",
       "line 6: \"mirror-by-digest-only\" has said already what it serves"},
      {"[[registry]]\nlocation = \"a\"\n[[registry]]\nprefix = \"b\"\nlocation = \"a\"\n"
       "insecure = true",
       "line 3: \"insecure\" differs from an entry above for the same location"},
      {"[[registry]]\nprefix = \"*.a\"\n[[registry]]\nprefix = \"*.a\"\nblocked = true",
       "line 3: \"blocked\" differs from an entry above for the same location"},
      {"[registries.search]\nregistries = [\"docker.io\"]",
       "line 1: this is version 1 of the format, which is not read any more"},
  };
  for (const Case& c : cases) EXPECT_EQ(error_of(c.content), c.says) << c.content;
}

TEST_F(RegistriesConfTest, RejectsFileWritableByOthers) {
  const fs::path file = write("[[registry]]\nlocation = \"a.example\"\n");
  EXPECT_EQ(load_registries({file}).size(), 1U);
  fs::permissions(file, fs::perms(0646));
  try {
    static_cast<void>(load_registries({file}));
    FAIL() << "it was believed";
  } catch (const Error& error) {
    EXPECT_EQ(error.what(),
              "cannot use the registries in " + file.string() + ": everybody may write it");
    EXPECT_EQ(error.hint(), "chmod go-w it, and look at what it says");
  }
}

TEST_F(RegistriesConfTest, RejectsDeepNestingAndFilesAbove1MiB) {
  EXPECT_EQ(error_of("a = " + std::string(100'000, '[')), "line 1: not TOML");
  EXPECT_EQ(error_of(std::string((1 << 20) + 1, '#')), "it is larger than 1 MiB");
}

TEST_F(RegistriesConfTest, RejectsPipesDevicesAndDirectoriesWithoutBlocking) {
  const fs::path pipe = root_ / "registries.conf";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {pipe, root_ / "none", fs::path("/dev/zero"), root_}) {
    EXPECT_THROW(static_cast<void>(load_registries({path})), Error) << path;
  }
}

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

TEST(EndpointsTest, ImageWithoutRuleKeepsItsHost) {
  const auto endpoints = endpoints_of(image("r.example"), {rule("other.example", "x")});
  ASSERT_EQ(endpoints.size(), 1U);
  EXPECT_EQ(endpoints[0].image.to_string(), "r.example/team/env:1");
  EXPECT_FALSE(endpoints[0].is_mirror);
  EXPECT_FALSE(endpoints[0].insecure);
  EXPECT_EQ(endpoints[0].upstream, "");
}

TEST(EndpointsTest, MatchesPrefixesAtNameBoundaries) {
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

TEST(EndpointsTest, UsesLongestPrefixOnly) {
  RegistryRule wide = rule("r.example", "wide.example");
  wide.mirrors.push_back({.location = "mirror.example"});
  const std::vector rules = {wide, rule("r.example/team", "narrow.example/team"),
                             rule("*.example", "any.example")};
  const auto endpoints = endpoints_of(image("r.example"), rules);
  ASSERT_EQ(endpoints.size(), 1U);
  EXPECT_EQ(endpoints[0].image.to_string(), "narrow.example/team/env:1");
}

TEST(EndpointsTest, ListsMirrorsInOrderBeforeRegistry) {
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

TEST(EndpointsTest, AppliesDockerIoRuleToDockerHub) {
  RegistryRule hub = rule("docker.io", "docker.io");
  hub.mirrors.push_back({.location = "mirror.example"});
  const auto endpoints = endpoints_of(image("registry-1.docker.io"), {hub});
  ASSERT_EQ(endpoints.size(), 2U);
  EXPECT_EQ(endpoints[0].image.to_string(), "mirror.example/team/env:1");
  EXPECT_EQ(endpoints[0].upstream, "docker.io");
  EXPECT_EQ(endpoints[1].image.to_string(), "registry-1.docker.io/team/env:1");
}

TEST(EndpointsTest, MapsDockerIoToItsHostWithoutRule) {
  EXPECT_EQ(origin(image("docker.io"), {}), "registry-1.docker.io/team/env:1");
}

TEST(EndpointsTest, FindsRuleOfRegistry) {
  const std::vector rules = {rule("r.example/team", "y.example"), rule("r.example", "x.example"),
                             rule("*.example", "")};
  EXPECT_EQ(find_rule("r.example", rules), &rules[1]);
  EXPECT_EQ(find_rule("r.example:5000", rules), &rules[1]);
  EXPECT_EQ(find_rule("s.example", rules), &rules[2]);
  EXPECT_EQ(find_rule("r.test", rules), nullptr);
}

TEST(EndpointsTest, BlockedRegistryErrorNamesFile) {
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

TEST(EndpointsTest, RejectsInvalidRewrittenNames) {
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
