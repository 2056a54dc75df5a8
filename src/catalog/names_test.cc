// Tests of names in a catalog.
#include "catalog/names.h"

#include <gtest/gtest.h>

#include <string>

#include "base/hash.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using namespace std::string_view_literals;

TEST(Names, ValidatesEnvironmentNames) {
  for (const auto good : {"debian:12"sv, "debian:12-base"sv, "a"sv, "0"sv, "a.b_c-d"sv,
                          "debian:Bookworm"sv, "debian:.."sv, "debian:-"sv}) {
    EXPECT_TRUE(is_environment_name(good)) << good;
  }
  for (const auto bad :
       {""sv, ":12"sv, "debian:"sv, "Debian"sv, ".a"sv, "-a"sv, "_a"sv, ".."sv, "a/b"sv, "a:b:c"sv,
        "a:b/c"sv, "a b"sv, "a\n"sv, "a\0"sv, "d\xc3\xa9"sv, "a+b"sv, "a:b+c"sv}) {
    EXPECT_FALSE(is_environment_name(bad)) << bad;
  }
}

TEST(Names, ValidatesVersions) {
  for (const auto good : {"1.0.0"sv, "1"sv, "v1"sv, "2024.01.01-rc1+b2"sv, "A_b"sv}) {
    EXPECT_TRUE(is_version(good)) << good;
  }
  for (const auto bad :
       {""sv, ".1"sv, "-1"sv, "+1"sv, "1/2"sv, "1 2"sv, "1:2"sv, ".."sv, "1\0"sv}) {
    EXPECT_FALSE(is_version(bad)) << bad;
  }
}

TEST(Names, ValidatesSourceProfiles) {
  for (const auto good : {"debian-git"sv, "a"sv, "0a._-"sv}) {
    EXPECT_TRUE(is_source_profile(good)) << good;
  }
  for (const auto bad : {""sv, "."sv, ".."sv, "-a"sv, "_a"sv, "A"sv, "a/b"sv, "a:b"sv}) {
    EXPECT_FALSE(is_source_profile(bad)) << bad;
  }
}

TEST(ImageName, IsTheFullFormOfAReference) {
  const struct {
    const char* reference;
    std::string name;
  } rows[] = {
      {"docker.io/library/python:3.12", "docker.io/library/python:3.12"},
      {"docker://docker.io/python", "docker.io/library/python:latest"},
      {"oci://registry-1.docker.io/team/app:1", "docker.io/team/app:1"},
      {"localhost:5000/app", "localhost:5000/app:latest"},
      {"ghcr.io/a/b:1@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
       "ghcr.io/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(image_name(row.reference), row.name);
    EXPECT_TRUE(is_image_name(row.name));
  }
  for (const char* const other : {"python:3.12", "team/app:1", "docker.io/library/python",
                                  "docker.io/python:3", "/etc/passwd", "a/b/../c:1", ""}) {
    EXPECT_FALSE(is_image_name(other)) << other;
  }
  EXPECT_THROW(static_cast<void>(image_name("team/app:1")), Error);
}

TEST(ImageName, BecomesOneComponentOfAPath) {
  const std::string name = file_name_of("docker.io/library/python:3.12");
  EXPECT_EQ(name, "python-" + sha256("docker.io/library/python:3.12").hex().substr(0, 12));
  EXPECT_NE(name, file_name_of("quay.io/library/python:3.12"));
  Environment environment;
  environment.name = "docker.io/library/python:3.12";
  environment.version = "1.0.0";
  EXPECT_EQ(install_directory_name(environment), name);
  EXPECT_EQ(file_name_of("debian:12"), "debian_12");
}

TEST(InstallName, ReplacesColonAndAppendsVersion) {
  struct Case {
    const char* name;
    const char* version;
    const char* directory;
  };
  constexpr Case kCases[] = {
      {"debian:12", "1.0.0", "debian_12-1.0.0"},
      {"debian:12-base", "1.0.0", "debian_12-base-1.0.0"},
      {"debian", "2024.1+b1", "debian-2024.1+b1"},
      {"a", "1-1", "a-1-1"},
      {"a-1", "1", "a-1-1"},
  };
  for (const Case& c : kCases) {
    Environment environment;
    environment.name = c.name;
    environment.version = c.version;
    EXPECT_EQ(install_directory_name(environment), c.directory);
  }
}

TEST(Suggest, EditDistanceIgnoresCase) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("Debian", "debian"), 0U);
  EXPECT_EQ(edit_distance("debain", "debian"), 1U);
}

TEST(Suggest, SuggestsClosestName) {
  constexpr std::string_view kKnown[] = {"debian:12", "debian:12-base", "debian:12-build"};
  struct Case {
    std::string_view word;
    std::optional<std::string_view> suggestion;
  };
  const Case cases[] = {
      {"debian:11", "debian:12"},
      {"debian", "debian:12"},
      {"debain:12", "debian:12"},
      {"DEBIAN:12", "debian:12"},
      {"debian12", "debian:12"},
      {"debian:12-bild", "debian:12-build"},
      {"debian:12-bas", "debian:12-base"},
      {"ubuntu:22", std::nullopt},
      {"", std::nullopt},
      {"x", std::nullopt},
  };
  for (const Case& c : cases) EXPECT_EQ(closest(c.word, kKnown), c.suggestion) << c.word;
  EXPECT_EQ(closest("debian", {}), std::nullopt);
  EXPECT_EQ(closest(std::string(100'000, 'a'), kKnown), std::nullopt);
}

}  // namespace

}  // namespace pyro
