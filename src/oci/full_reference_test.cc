// Tests of image names as people write them.
#include "oci/full_reference.h"

#include <gtest/gtest.h>

#include "pyro/error.h"

namespace pyro {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

TEST(FullReference, Parts) {
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

TEST(FullReference, Refusals) {
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

TEST(FullReference, WholeNamesOf255AreTaken) {
  EXPECT_NO_THROW(static_cast<void>(FullReference::parse("r.example/" + std::string(245, 'a'))));
}

TEST(FullReference, ShowsNoPassword) {
  for (const char* text : {"robin:secret@r.example/x", "robin:secret@r.example/x:1"}) {
    try {
      static_cast<void>(FullReference::parse(text));
      ADD_FAILURE() << "taken";
    } catch (const Error& error) {
      EXPECT_EQ((std::string(error.what()) + error.hint()).find("secret"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace pyro
