// Tests of the built-in catalog, of files laid over it, and of lookup.
#include "pyro/catalog.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "pyro/error.h"

namespace pyro {
namespace {

using nlohmann::json;

class CatalogFiles : public ::testing::Test {
 protected:
  CatalogFiles() {
    char name[] = "/tmp/pyro-catalog-XXXXXX";
    directory_ = std::filesystem::canonical(::mkdtemp(name));
  }
  ~CatalogFiles() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path file(const char* name, std::initializer_list<json> entries) const {
    const json document{{"catalog_version", "9"}, {"environments", json::array_t(entries)}};
    std::ofstream(directory_ / name) << document;
    return directory_ / name;
  }

  static json entry(const char* name, const char* version, const char* description = "") {
    return {{"name", name},
            {"version", version},
            {"description", description},
            {"default_packages", json::array()},
            {"distribution", "debian"},
            {"distribution_version", "12"},
            {"source_profile", "p"}};
  }

  static std::string complaint(const std::vector<std::filesystem::path>& files) {
    try {
      static_cast<void>(Catalog::load(files));
      return "none";
    } catch (const Error& error) {
      return error.what();
    }
  }

  std::filesystem::path directory_;
};

TEST(Catalog, HasThreeBuiltInEnvironments) {
  const Catalog catalog = Catalog::built_in();
  ASSERT_EQ(catalog.environments().size(), 3U);
  EXPECT_TRUE(catalog.files().empty());
  const Environment& build = catalog.require("debian:12-build");
  EXPECT_EQ(&build, &catalog.environments().back());
  EXPECT_EQ(build.version, "1.0.0");
  EXPECT_EQ(build.description,
            "Debian 12 environment with Git and common build tools preinstalled.");
  EXPECT_EQ(build.default_packages, (std::vector<std::string>{"bash", "coreutils", "git", "gcc",
                                                              "make", "cmake", "python3"}));
  EXPECT_EQ(build.source_profile, "debian-build");
  EXPECT_EQ(build.platform, "linux-x86_64");
  EXPECT_EQ(build.oci_registry, "registry-1.docker.io");
  EXPECT_EQ(build.oci_repository, "thalesmaciel/pyro-environment-debian-12-build");
  EXPECT_EQ(build.oci_reference, "1.0.0");
  EXPECT_EQ(build.source_digest, std::nullopt);
  EXPECT_EQ(build.catalog_file, std::nullopt);
  EXPECT_TRUE(build.compatible());
}

TEST(Catalog, UnknownNameErrorListsKnownNames) {
  const Catalog catalog = Catalog::built_in();
  EXPECT_EQ(catalog.find("debian"), nullptr);
  try {
    static_cast<void>(catalog.require("debian:11"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
    EXPECT_STREQ(error.what(),
                 "unknown environment 'debian:11'; expected one of: debian:12, debian:12-base, "
                 "debian:12-build");
    EXPECT_EQ(error.hint(), "did you mean 'debian:12'?");
  }
}

TEST_F(CatalogFiles, LaterEntriesReplaceEarlierOnes) {
  const auto one = file("one.json", {entry("debian:12", "2", "one"), entry("a", "1", "one")});
  const auto two = file("two.json", {entry("a", "2", "two")});
  const Catalog catalog = Catalog::load(std::vector{one, two});
  ASSERT_EQ(catalog.environments().size(), 4U);
  EXPECT_EQ(catalog.environments().front().name, "a");
  EXPECT_EQ(catalog.require("a").description, "two");
  EXPECT_EQ(catalog.require("a").catalog_file, two);
  EXPECT_EQ(catalog.require("debian:12").version, "2");
  EXPECT_EQ(catalog.require("debian:12").catalog_file, one);
  EXPECT_EQ(catalog.require("debian:12-base").catalog_file, std::nullopt);
  EXPECT_EQ(catalog.files(), (std::vector{one, two}));
}

TEST_F(CatalogFiles, PathsBecomeAbsolute) {
  const auto one = file("one.json", {});
  std::filesystem::create_directory(directory_ / "inner");
  std::filesystem::create_directory_symlink(directory_, directory_ / "link");
  for (const char* detour : {"./one.json", "inner/../one.json", "link/one.json"}) {
    EXPECT_EQ(Catalog::load(std::vector{directory_ / detour}).files().front(), one) << detour;
  }
  std::filesystem::create_symlink(one, directory_ / "named.json");
  EXPECT_EQ(Catalog::load(std::vector{directory_ / "named.json"}).files().front(),
            directory_ / "named.json");
}

TEST_F(CatalogFiles, RejectsTwoEntriesOfOneInstallDirectory) {
  const auto clash = file("clash.json", {entry("debian_12", "1.0.0")});
  EXPECT_EQ(complaint({clash}), "environments 'debian:12' (built in) and 'debian_12' (" +
                                    clash.string() +
                                    ") would be installed in one directory, debian_12-1.0.0");
  const auto dashes = file("dashes.json", {entry("a", "1-1"), entry("a-1", "1")});
  EXPECT_EQ(complaint({dashes}), "environments 'a' (" + dashes.string() + ") and 'a-1' (" +
                                     dashes.string() +
                                     ") would be installed in one directory, a-1-1");
  const auto cure = file("cure.json", {entry("debian:12", "2")});
  EXPECT_EQ(complaint({clash, cure}), "none");
}

}  // namespace
}  // namespace pyro
