#include "oci/registries_conf.h"

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

TEST_F(RegistriesConfTest, ReadsAWholeRule) {
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

TEST_F(RegistriesConfTest, HelpersThatAreNotAskedAreTold) {
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

TEST_F(RegistriesConfTest, DockerHubHasOneName) {
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

TEST_F(RegistriesConfTest, SaysWhereItIsWrongAndQuotesNothing) {
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

TEST_F(RegistriesConfTest, RefusesFileThatOthersMayWrite) {
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

TEST_F(RegistriesConfTest, DepthAndSizeAreBounded) {
  EXPECT_EQ(error_of("a = " + std::string(100'000, '[')), "line 1: not TOML");
  EXPECT_EQ(error_of(std::string((1 << 20) + 1, '#')), "it is larger than 1 MiB");
}

TEST_F(RegistriesConfTest, WhatIsNoFileIsToldWithoutWaiting) {
  const fs::path pipe = root_ / "registries.conf";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  for (const fs::path& path : {pipe, root_ / "none", fs::path("/dev/zero"), root_}) {
    EXPECT_THROW(static_cast<void>(load_registries({path})), Error) << path;
  }
}

}  // namespace
}  // namespace pyro
