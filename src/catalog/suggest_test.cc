// Tests of did-you-mean.
#include "catalog/suggest.h"

#include <gtest/gtest.h>

#include <string>

namespace pyro {
namespace {

TEST(Suggest, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("Debian", "debian"), 0U);
  EXPECT_EQ(edit_distance("debain", "debian"), 1U);
}

TEST(Suggest, Closest) {
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
