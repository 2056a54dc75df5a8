// Tests of the findings about a cache.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "doctor/checks.h"
#include "support/temp_dir.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// `make` prepares the directory above "cache" before the check.
struct Cache {
  const char* name;
  std::function<void(const fs::path& above)> make;
  Health health;
  const char* told;
  const char* remedy;

  friend void PrintTo(const Cache& self, std::ostream* out) { *out << self.name; }
};

bool check(const fs::path& cache_dir, Findings& findings) {
  StoreOptions options;
  options.cache_dir = cache_dir;
  return check_cache(options, findings);
}

class CheckCacheTest : public ::testing::TestWithParam<Cache> {
 protected:
  testing::TempDir dir_;
};

TEST_P(CheckCacheTest, IsReportedAndLeftUnchanged) {
  GetParam().make(dir_.path());
  const auto before = testing::tree(dir_.path());
  Findings findings;
  const bool fit = check(dir_ / "cache", findings);
  const Finding& found = findings.back();
  EXPECT_EQ(found.name, "cache");
  EXPECT_EQ(found.health, GetParam().health) << found.message;
  EXPECT_EQ(fit, GetParam().health != Health::missing);
  EXPECT_THAT(found.message, HasSubstr((dir_ / "cache").string()));
  EXPECT_THAT(found.message, HasSubstr(GetParam().told));
  EXPECT_THAT(found.remedy, HasSubstr(GetParam().remedy));
  EXPECT_EQ(found.remedy.empty(), found.health == Health::ok);
  EXPECT_EQ(testing::tree(dir_.path()), before);
}

std::function<void(const fs::path&)> with_mode(unsigned mode) {
  return [mode](const fs::path& above) {
    fs::create_directory(above / "cache");
    fs::permissions(above / "cache", fs::perms(mode));
  };
}

INSTANTIATE_TEST_SUITE_P(
    Caches, CheckCacheTest,
    ::testing::Values(
        Cache{"NotYetCreated", [](const fs::path&) {}, Health::ok, "made when it is needed", ""},
        Cache{"Usual", with_mode(0755), Health::ok, "", ""},
        Cache{"InUse",
              [](const fs::path& above) {
                fs::create_directories(above / "cache/staging");
                fs::create_directories(above / "cache/locks");
              },
              Health::ok, "", ""},
        Cache{"WritableByGroup", with_mode(0775), Health::warning, "others may write to",
              "chmod go-w "},
        Cache{"WritableByEverybody", with_mode(0757), Health::warning, "others may write to",
              "chmod go-w "},
        Cache{"File", [](const fs::path& above) { testing::write_file(above / "cache", "x"); },
              Health::missing, "is not a directory", "--cache-dir"},
        Cache{"FileForStaging",
              [](const fs::path& above) { testing::write_file(above / "cache/staging", "x"); },
              Health::missing, "Not a directory", "--cache-dir"},
        Cache{"LinkToNothing",
              [](const fs::path& above) { fs::create_symlink("nothing", above / "cache"); },
              Health::missing, "is a link without a target", "--cache-dir"}),
    [](const auto& row) { return row.param.name; });

TEST(CheckCache, ReportsNfsAndItsLocks) {
  constexpr long kNfs = 0x6969;
  constexpr long kExt4 = 0xef53;
  for (const bool has_locks : {true, false}) {
    Findings findings;
    check_sharing(kExt4, has_locks, findings);
    EXPECT_TRUE(findings.empty());
    check_sharing(kNfs, has_locks, findings);
    ASSERT_EQ(findings.size(), 1u);
    EXPECT_EQ(findings[0].health, has_locks ? Health::ok : Health::missing);
    EXPECT_THAT(findings[0].message, HasSubstr("is on NFS"));
    EXPECT_EQ(findings[0].remedy.empty(), has_locks);
  }
}

TEST(CheckCache, ReportsMissingOptionalFeatureAsAbsent) {
  const testing::TempDir dir;
  Findings findings;
  EXPECT_TRUE(check(dir / "cache", findings));
  std::size_t features = 0;
  for (const Finding& found : findings) {
    if (found.name != "reflink" && found.name != "fs-verity") continue;
    ++features;
    const bool works = found.message == "copies share their blocks" ||
                       found.message == "the kernel can seal files";
    EXPECT_EQ(found.health, works ? Health::ok : Health::absent) << found.message;
    EXPECT_EQ(found.remedy, "");
  }
  EXPECT_EQ(features, 2u);
}

TEST(CheckCache, RejectsCacheBelowFile) {
  const testing::TempDir dir;
  testing::write_file(dir / "file", "x");
  Findings findings;
  EXPECT_FALSE(check(dir / "file/cache", findings));
  EXPECT_THAT(findings.back().message, HasSubstr("Not a directory"));
}

}  // namespace
}  // namespace pyro
