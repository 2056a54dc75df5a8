// Tests of the grammar of environment names, versions and source profiles.
#include "catalog/names.h"

#include <gtest/gtest.h>

#include <string>

namespace pyro {
namespace {

using namespace std::string_view_literals;

TEST(Names, Environment) {
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

TEST(Names, Version) {
  for (const auto good : {"1.0.0"sv, "1"sv, "v1"sv, "2024.01.01-rc1+b2"sv, "A_b"sv}) {
    EXPECT_TRUE(is_version(good)) << good;
  }
  for (const auto bad :
       {""sv, ".1"sv, "-1"sv, "+1"sv, "1/2"sv, "1 2"sv, "1:2"sv, ".."sv, "1\0"sv}) {
    EXPECT_FALSE(is_version(bad)) << bad;
  }
}

TEST(Names, SourceProfile) {
  for (const auto good : {"debian-git"sv, "a"sv, "0a._-"sv}) {
    EXPECT_TRUE(is_source_profile(good)) << good;
  }
  for (const auto bad : {""sv, "."sv, ".."sv, "-a"sv, "_a"sv, "A"sv, "a/b"sv, "a:b"sv}) {
    EXPECT_FALSE(is_source_profile(bad)) << bad;
  }
}

}  // namespace
}  // namespace pyro
