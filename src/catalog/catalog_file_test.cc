// Tests of catalog files: fields, and the errors for invalid ones.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "catalog/catalog.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using nlohmann::json;

const std::string kHex(64, 'a');
const std::string kOtherHex(64, 'b');

json entry() {
  return {{"name", "team:1"},         {"version", "1.0.0"},
          {"description", "Ours."},   {"default_packages", {"bash", "git"}},
          {"distribution", "debian"}, {"distribution_version", "12"},
          {"source_profile", "team"}};
}

std::string file_with(const json& environment) {
  return json{{"catalog_version", "4.5.0"}, {"environments", {environment}}}.dump();
}

/// The error for a file /x/team.json with `text`, then " | " and the hint.
std::string complaint(const std::string& text) {
  try {
    static_cast<void>(parse_catalog(text, "/x/team.json"));
    return "none";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::failed);
    return error.what() + (error.hint().empty() ? "" : " | " + error.hint());
  }
}

std::string complaint_with(const char* field, const json& value) {
  json environment = entry();
  environment[field] = value;
  return complaint(file_with(environment));
}

Environment accepted(const json& environment) {
  return parse_catalog(file_with(environment), "/x/team.json").at(0);
}

TEST(CatalogFile, ReadsEntryWithoutOptionalFields) {
  const Environment environment = accepted(entry());
  EXPECT_EQ(environment.name, "team:1");
  EXPECT_EQ(environment.version, "1.0.0");
  EXPECT_EQ(environment.default_packages, (std::vector<std::string>{"bash", "git"}));
  EXPECT_EQ(environment.platform, "linux-x86_64");
  EXPECT_EQ(environment.compatibility, ">=4.5.0,<5.0.0");
  EXPECT_TRUE(environment.compatible());
  EXPECT_FALSE(environment.oci_registry || environment.source_url || environment.source_digest);
  EXPECT_EQ(environment.catalog_file, "/x/team.json");
}

TEST(CatalogFile, ReadsAllFields) {
  json full = entry();
  full.update({{"platform", "linux-x86_64"},
               {"source_url", "https://example.org/a.tar.zst?x=y"},
               {"source_sha256", kHex},
               {"source_digest", "anything"},
               {"oci_registry", "[::1]:5000"},
               {"oci_repository", "team/environment"},
               {"oci_reference", "1.0.0"},
               {"oci_digest", "sha256:" + kOtherHex},
               {"compatibility", ">=5.0.0"}});
  const Environment environment = accepted(full);
  EXPECT_EQ(environment.source_url, "https://example.org/a.tar.zst?x=y");
  EXPECT_EQ(environment.source_sha256->hex(), kHex);
  EXPECT_EQ(environment.source_digest, "anything");
  EXPECT_EQ(environment.oci_registry, "[::1]:5000");
  EXPECT_EQ(environment.oci_repository, "team/environment");
  EXPECT_EQ(environment.oci_reference, "1.0.0");
  EXPECT_EQ(environment.oci_digest->hex(), kOtherHex);
  EXPECT_FALSE(environment.compatible());
}

TEST(CatalogFile, TreatsNullAsAbsent) {
  json environment = entry();
  for (const char* field :
       {"platform", "source_url", "source_sha256", "source_digest", "oci_registry",
        "oci_repository", "oci_reference", "oci_digest", "compatibility"}) {
    environment[field] = nullptr;
  }
  EXPECT_TRUE(accepted(environment).compatible());
  EXPECT_EQ(accepted(environment).platform, "linux-x86_64");
}

TEST(CatalogFile, ErrorNamesFileEntryAndField) {
  const std::string start = "/x/team.json: environment 'team:1': field ";
  struct Case {
    const char* field;
    json value;
    std::string said;
  };
  const Case cases[] = {
      {"version", "../1",
       "'version': '../1' is not a version like '1.0.0': letters, digits, . _ + -"},
      {"version", 1, "'version': expected a string, found number"},
      {"version", nullptr, "'version': expected a string, found null"},
      {"description", {1}, "'description': expected a string, found array"},
      {"default_packages", "bash",
       "'default_packages': expected an array of strings, found string"},
      {"default_packages",
       {"bash", 1},
       "'default_packages': expected an array of strings, found number in it"},
      {"source_profile", "../x",
       "'source_profile': '../x' is not a folder name like 'debian-git': a-z 0-9 . _ -"},
      {"platform", "linux-arm64",
       "'platform': 'linux-arm64' is not 'linux-x86_64', the only platform there is"},
      {"oci_registry", "https://ghcr.io",
       "'oci_registry': 'https://ghcr.io' is not a registry like 'registry.example:5000': host and "
       "port, without scheme or path"},
      {"oci_repository", "a/../b",
       "'oci_repository': 'a/../b' is not a repository like 'team/environment'"},
      {"oci_reference", "a/b",
       "'oci_reference': 'a/b' is not a tag like '1.0.0' or a digest 'sha256:...'"},
      {"oci_digest", "sha256:1",
       "'oci_digest': 'sha256:1' is not 'sha256:' and 64 lower-case hexadecimal digits"},
      {"oci_digest", "sha256:" + kHex,
       "'oci_digest': pins nothing without 'oci_registry' and 'oci_repository'"},
      {"source_sha256", "1", "'source_sha256': '1' is not 64 lower-case hexadecimal digits"},
      {"source_sha256", kHex, "'source_sha256': pins nothing without 'source_url'"},
      {"source_url", "https://h/a#sha256=" + kHex.substr(1),
       "'source_url': what follows '#' is not 'sha256=' and 64 lower-case hexadecimal digits"},
      {"source_url", "https://h/a#md5=" + kHex.substr(32),
       "'source_url': what follows '#' is not 'sha256=' and 64 lower-case hexadecimal digits"},
      {"source_url", "ftp://a/b",
       "'source_url': scheme 'ftp' is not one of: https, http, file, oci, oci-archive, "
       "docker-archive (or a path; './NAME' for a file with a colon in its name)"},
      {"source_url", "http://example.org/a.tar",
       "'source_url': http is fetched only with 'source_sha256' or from this machine; use https"},
      {"compatibility", "~=4.5", "'compatibility': '~=4.5' is not a range like '>=4.5.0,<5.0.0'"},
      {"oci_diggest", "x", "'oci_diggest': is not known | did you mean 'oci_digest'?"},
      {"frobnicate", true, "'frobnicate': is not known"},
  };
  for (const Case& c : cases) EXPECT_EQ(complaint_with(c.field, c.value), start + c.said);
}

TEST(CatalogFile, ErrorNamesPositionOfEntryWithInvalidName) {
  const std::string start = "/x/team.json: environments[0]: ";
  EXPECT_EQ(
      complaint_with("name", "Team"),
      start +
          "field 'name': 'Team' is not a name like 'debian:12': a-z 0-9 . _ - and at most one "
          "':' before a tag");
  EXPECT_EQ(complaint_with("name", 7), start + "field 'name': expected a string, found number");
  EXPECT_EQ(complaint(file_with("x")), start + "expected an object, found string");
}

TEST(CatalogFile, RejectsMissingRequiredFields) {
  for (const char* field : {"version", "description", "default_packages", "distribution",
                            "distribution_version", "source_profile"}) {
    json environment = entry();
    environment.erase(field);
    EXPECT_EQ(complaint(file_with(environment)),
              std::string("/x/team.json: environment 'team:1': field '") + field + "': is missing");
  }
}

TEST(CatalogFile, RejectsContradictingPins) {
  json environment = entry();
  environment.update({{"oci_registry", "r"},
                      {"oci_repository", "a"},
                      {"oci_reference", "sha256:" + kHex},
                      {"oci_digest", "sha256:" + kOtherHex}});
  EXPECT_EQ(complaint(file_with(environment)),
            "/x/team.json: environment 'team:1': field 'oci_digest': is not the digest that "
            "'oci_reference' asks for");
  environment["oci_digest"] = "sha256:" + kHex;
  EXPECT_EQ(accepted(environment).oci_digest->hex(), kHex);
}

TEST(CatalogFile, PinsLayoutImagesByDigestOnly) {
  json environment = entry();
  environment["source_url"] = "oci-archive:team.tar:debian:12";
  environment["oci_digest"] = "sha256:" + kHex;
  EXPECT_EQ(accepted(environment).oci_digest->hex(), kHex);
  EXPECT_EQ(accepted(environment).source_url, "oci-archive:/x/team.tar:debian:12");
  environment.erase("oci_digest");
  environment["source_sha256"] = kHex;
  EXPECT_EQ(complaint(file_with(environment)),
            "/x/team.json: environment 'team:1': field 'source_sha256': is for archives; "
            "'oci_digest' pins an image of a layout");
}

TEST(CatalogFile, RejectsDocumentsWithWrongFields) {
  struct Case {
    const char* text;
    const char* said;
  };
  constexpr Case kCases[] = {
      {"[]", "expected an object, found array"},
      {R"({"environments": []})", "field 'catalog_version': is missing"},
      {R"({"catalog_version": 4, "environments": []})",
       "field 'catalog_version': expected a string, found number"},
      {R"({"catalog_version": "1"})", "field 'environments': is missing"},
      {R"({"catalog_version": "1", "environments": {}})",
       "field 'environments': expected an array, found object"},
      {R"({"catalog_version": "1", "enviroments": []})",
       "field 'enviroments': is not known | did you mean 'environments'?"},
      {R"({"catalog_version": "1", "catalog_version": "2", "environments": []})",
       "field 'catalog_version': given twice"},
      {R"({"catalog_version": "1", "environments": [1, {"name": "a", "name": "b"}]})",
       "environments[1]: field 'name': given twice"},
  };
  for (const Case& c : kCases) EXPECT_EQ(complaint(c.text), std::string("/x/team.json: ") + c.said);
}

TEST(CatalogFile, JsonErrorNamesLineAndColumn) {
  EXPECT_EQ(complaint("{\n  \"catalog_version\": nope\n}").substr(0, 47),
            "/x/team.json: line 2, column 23: not valid JSON");
  EXPECT_EQ(complaint("").substr(0, 46), "/x/team.json: line 1, column 1: not valid JSON");
  EXPECT_NE(complaint("\xff\xfe").find("not valid JSON"), std::string::npos);
  EXPECT_NE(complaint(file_with(entry()) + "x").find("not valid JSON"), std::string::npos);
  EXPECT_EQ(complaint(std::string(100'000, '[')), "/x/team.json: nested deeper than 64 levels");
}

TEST(CatalogFile, RejectsTwoEntriesOfOneName) {
  const json document{{"catalog_version", "1"}, {"environments", {entry(), entry()}}};
  EXPECT_EQ(complaint(document.dump()),
            "/x/team.json: environment 'team:1': field 'name': given by two entries");
}

TEST(CatalogFile, RejectsNamesTooLongForFile) {
  EXPECT_EQ(complaint_with("version", std::string(193, '1')), "none");
  EXPECT_EQ(
      complaint_with("version", std::string(194, '1')),
      "/x/team.json: environment 'team:1': field 'name': is too long: name and version together "
      "have at most 199 characters");
}

TEST(CatalogFile, ReadsFileAndRejectsMissingWritableAndLargeOnes) {
  char directory[] = "/tmp/pyro-catalog-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::filesystem::path file = std::filesystem::path(directory) / "team.json";
  const auto code_of = [&] {
    try {
      return static_cast<void>(read_catalog_file(file)), std::string("none");
    } catch (const Error& error) {
      return std::string(to_string(error.code())) + ": " + error.what();
    }
  };
  EXPECT_EQ(code_of(), "filesystem: cannot open " + file.string() + ": No such file or directory");
  std::ofstream(file) << file_with(entry());
  EXPECT_EQ(read_catalog_file(file).at(0).catalog_file, file);
  std::filesystem::permissions(file, std::filesystem::perms(0646));
  EXPECT_EQ(code_of(), "failed: " + file.string() + ": everybody may write it");
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  std::ofstream(file) << std::string(kMaxCatalogFile + 1, ' ');
  EXPECT_EQ(code_of(), "failed: " + file.string() + ": larger than 4 MiB");
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  EXPECT_EQ(code_of(), "filesystem: cannot read " + file.string() + ": Is a directory");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace pyro
