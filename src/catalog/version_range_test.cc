// Tests of version ranges.
#include <gtest/gtest.h>

#include "catalog/names.h"

namespace pyro {
namespace {

struct RangeCase {
  const char* range;
  const char* version;
  bool contained;
};

TEST(VersionRange, ComparesVersionsWithRanges) {
  constexpr RangeCase kCases[] = {
      {">=4.5.0,<5.0.0", "4.5.0", true},
      {">=4.5.0,<5.0.0", "4.99", true},
      {">=4.5.0,<5.0.0", "5.0.0", false},
      {">=4.5.0,<5.0.0", "4.4.9", false},
      {">=4.5.0,<5.0.0", "5", false},
      {" >= 4.5 , < 5 ", "4.5.0", true},
      {"==4.5", "4.5.0", true},
      {"==4.5.0", "4.5", true},
      {"!=4.5.0", "4.5.0", false},
      {"!=4.5.1", "4.5.0", true},
      {">4.5.0", "4.5.0", false},
      {">4.4", "4.5.0", true},
      {"<=4.5", "4.5.0", true},
      {"<=4.5", "4.5.1", false},
      {"<4.10", "4.9", true},
      {">=5.0.0", "4.5.0", false},
      {">=0", "4.5.0", true},
      {">=4.5.0", "4.5.0rc1", false},
  };
  for (const RangeCase& c : kCases) {
    EXPECT_EQ(version_in_range(c.version, c.range), c.contained) << c.version << " in " << c.range;
  }
}

TEST(VersionRange, RejectsInvalidRanges) {
  for (const char* bad : {"",      " ",     ",",         ">=4.5.0,", "4.5.0",        "=4.5.0",
                          "~=4.5", ">=",    ">=4.5.*",   ">=v4",     ">=4..5",       ">=4.5.",
                          ">=.5",  ">= =4", "=>4",       ">=4.5 <5", ">=4294967296", "*",
                          ">=-1",  ">=+1",  ">=4.5.0rc1"}) {
    EXPECT_FALSE(version_in_range("1.0", bad)) << bad;
  }
}

}  // namespace
}  // namespace pyro
