// References and catalogs that must be refused before any request.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "scenarios/hostile_harness.h"

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Field {
  const char* name;
  const char* field;
  json value;

  friend void PrintTo(const Field& self, std::ostream* out) { *out << self.name; }
};

const std::string kHex(64, 'a');

const std::vector<Field> kRefusedFields = {
    {"RegistryEmpty", "oci_registry", ""},
    {"RegistryOfSpaces", "oci_registry", "  "},
    {"RegistryWithNonNumericPort", "oci_registry", "host:port"},
    {"RegistryWithPort0", "oci_registry", "host:0"},
    {"RegistryWithPort65536", "oci_registry", "host:65536"},
    {"RegistryWithoutAPort", "oci_registry", "host:"},
    {"RegistryWithBareIpv6", "oci_registry", "::1"},
    {"RegistryWithAPath", "oci_registry", "host/path"},
    {"RegistryWithAPassword", "oci_registry", "robin:secret@host"},
    {"RegistryWithALineBreak", "oci_registry", "host\nX-Injected: 1"},
    {"RegistryWithAZeroByte", "oci_registry", std::string("host\0x", 6)},
    {"RegistryNotAscii", "oci_registry", "r\xc3\xa9gistry.example"},
    {"RepositoryInCapitals", "oci_repository", "Team/Tool"},
    {"RepositoryWithTwoSlashes", "oci_repository", "team//tool"},
    {"RepositoryWithADot", "oci_repository", "team/./tool"},
    {"RepositoryUpwards", "oci_repository", "team/../tool"},
    {"RepositoryWithASlashAtItsEnd", "oci_repository", "team/"},
    {"RepositoryWithASlashAtItsStart", "oci_repository", "/team"},
    {"RepositoryOfThreeUnderscores", "oci_repository", "a___b"},
    {"RepositoryOfMixedSeparators", "oci_repository", "a.-b"},
    {"RepositoryEscaped", "oci_repository", "%2e%2e/x"},
    {"RepositoryOf256", "oci_repository", std::string(256, 'a')},
    {"RepositoryWithABidiOverride", "oci_repository",
     "a\xe2\x80\xae"
     "b"},
    {"TagEmpty", "oci_reference", ""},
    {"TagOf129", "oci_reference", std::string(129, 'a')},
    {"TagWithADotAtItsStart", "oci_reference", ".a"},
    {"TagWithADashAtItsStart", "oci_reference", "-a"},
    {"TagWithASlash", "oci_reference", "a/b"},
    {"TagWithAQuestion", "oci_reference", "a?b=c"},
    {"TagWithATab", "oci_reference", "a\tb"},
    {"TagWithAnEscapeSequence", "oci_reference", "a\x1b[2J"},
    {"DigestOf63", "oci_digest", "sha256:" + std::string(63, 'a')},
    {"DigestOf65", "oci_digest", "sha256:" + std::string(65, 'a')},
    {"DigestInCapitals", "oci_digest", "sha256:" + std::string(64, 'A')},
    {"DigestNotHexadecimal", "oci_digest", "sha256:" + std::string(64, 'g')},
    {"DigestSha512", "oci_digest", "sha512:" + kHex},
    {"DigestMd5", "oci_digest", "md5:" + std::string(32, 'a')},
    {"DigestAsReferenceOf63", "oci_reference", "sha256:" + std::string(63, 'a')},
    {"UrlWithoutAHost", "source_url", "https:///tool.tar"},
    {"UrlOfFtp", "source_url", "ftp://host/tool.tar"},
    {"UrlWithALineBreak", "source_url", "https://host/a\r\nb"},
    {"UrlOverPlainHttp", "source_url", "http://host/tool.tar"},
};

class RefusedField : public HostileHarness, public ::testing::WithParamInterface<Field> {};

TEST_P(RefusedField, ErrorNamesFileEntryAndField) {
  json made = oci_entry("registry.example");
  made[GetParam().field] = GetParam().value;
  use_catalog({made});
  expect_refused(1, {catalog_file().string(), "tool:1", GetParam().field});
  EXPECT_FALSE(fs::exists(cache()));
}

INSTANTIATE_TEST_SUITE_P(Fields, RefusedField, ::testing::ValuesIn(kRefusedFields), row_name);

const std::vector<Field> kAccepted = {
    {"RegistryWithBracketedIpv6", "oci_registry", "[::1]:5000"},
    {"RegistryWithPort65535", "oci_registry", "host:65535"},
    {"RegistryInCapitals", "oci_registry", "Registry.Example"},
    {"RepositoryWithTwoUnderscores", "oci_repository", "a__b"},
    {"RepositoryWithDashes", "oci_repository", "a--b/c---d"},
    {"TagOf128", "oci_reference", std::string(128, 'a')},
};

class AcceptedField : public HostileHarness, public ::testing::WithParamInterface<Field> {};

TEST_P(AcceptedField, IsShownByInspect) {
  json made = oci_entry("registry.example");
  made[GetParam().field] = GetParam().value;
  use_catalog({made});
  EXPECT_EQ(pyro_json({"env", "inspect", "tool:1"})[GetParam().field], GetParam().value);
}

INSTANTIATE_TEST_SUITE_P(Fields, AcceptedField, ::testing::ValuesIn(kAccepted), row_name);

// --- documents ---

struct Document {
  const char* name;
  std::string text;

  friend void PrintTo(const Document& self, std::ostream* out) { *out << self.name; }
};

std::string catalog_with(const std::string& field) {
  return R"({"catalog_version": "1", "environments": [{)" + field + "}]}";
}

const std::vector<Document> kDocuments = {
    {"Empty", ""},
    {"CutOff", R"({"catalog_version": "1", "environments": [)"},
    {"ByteOrderMarkAlone", "\xef\xbb\xbf"},
    {"FieldTwice", R"({"catalog_version": "1", "catalog_version": "2", "environments": []})"},
    {"VersionMissing", R"({"environments": []})"},
    {"TrailingData", R"({"catalog_version": "1", "environments": []} {})"},
    {"NotANumber", catalog_with(R"("name": NaN)")},
    {"NumberOutOfRange", catalog_with(R"("name": 1e999)")},
    {"NotUtf8", catalog_with("\"name\": \"\xff\xfe\"")},
    {"LoneSurrogate", catalog_with(R"("name": "\ud800")")},
    {"AList", "[]"},
    {"Deep", std::string(100'000, '[')},
    {"DeepObjects",
     [] {
       std::string text;
       for (int i = 0; i < 10'000; ++i) text += R"({"a":)";
       return text;
     }()},
    {"Zeros", std::string(4096, '\0')},
};

class RefusedDocument : public HostileHarness, public ::testing::WithParamInterface<Document> {};

TEST_P(RefusedDocument, ErrorNamesTheFile) {
  write_file(catalog_file(), GetParam().text);
  expect_refused(1, {catalog_file().string()});
}

INSTANTIATE_TEST_SUITE_P(Documents, RefusedDocument, ::testing::ValuesIn(kDocuments), row_name);

class HostileCatalogTest : public HostileHarness {
 protected:
  void make_catalog_of(std::uintmax_t size) const {
    write_file(catalog_file(), "{");
    fs::resize_file(catalog_file(), size);
  }
};

TEST_F(HostileCatalogTest, RejectsCatalogOf1GiB) {
  make_catalog_of(std::uintmax_t{1} << 30);
  expect_refused(1, {catalog_file().string()});
}

TEST_F(HostileCatalogTest, RejectsEndlessDeviceAsCatalog) {
  expect_refused(1, {"/dev/zero"}, {"env", "pull", "tool:1", "--catalog", "/dev/zero"});
}

TEST_F(HostileCatalogTest, RejectsPipeAndDeviceInCatalogDirectory) {
  fs::create_directories(catalog_file().parent_path());
  ASSERT_EQ(::mkfifo(catalog_file().c_str(), 0644), 0);
  expect_refused(6, {catalog_file().string(), "not a regular file"});
  fs::remove(catalog_file());
  fs::create_symlink("/dev/zero", catalog_file());
  expect_refused(6, {catalog_file().string(), "not a regular file"});
}

TEST_F(HostileCatalogTest, ReadsPipeGivenAsCatalog) {
  const fs::path file = write_catalog(dir_ / "team.json", {oci_entry("registry.example")});
  Command piped = command({"env", "inspect", "tool:1", "--catalog", "/dev/stdin"});
  const std::vector<std::string> shell{"/bin/sh", "-c", "cat \"$0\" | \"$@\"", file.string()};
  piped.argv.insert(piped.argv.begin(), shell.begin(), shell.end());
  const ProcessResult result = run(piped);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  expect_says(result.out, {"tool:1"});
}

TEST_F(HostileCatalogTest, RejectsTwoEntriesOfOneName) {
  use_catalog({oci_entry("a.example"), oci_entry("b.example")});
  expect_refused(1, {catalog_file().string(), "tool:1"});
}

TEST_F(HostileCatalogTest, RejectsDigestThatContradictsReference) {
  json made = oci_entry("registry.example", "team/tool", "sha256:" + kHex);
  made["oci_digest"] = "sha256:" + std::string(64, 'b');
  use_catalog({made});
  expect_refused(1, {catalog_file().string(), "tool:1", "oci_digest"});
}

TEST_F(HostileCatalogTest, RejectsInvalidNamesOnTheCommandLine) {
  for (const std::string& name :
       {std::string(), std::string("  "), std::string("../x"), std::string("a\nb"),
        std::string("\x1b[2J"), std::string("\xff\xfe"), std::string(100'000, 'a')}) {
    const ProcessResult result = pyro({"env", "pull", name});
    EXPECT_TRUE(result.exit_code == 2 || result.exit_code == 3) << result.exit_code << result.err;
    EXPECT_FALSE(std::ranges::any_of(result.err, is_control)) << result.err;
  }
  EXPECT_FALSE(fs::exists(cache()));
}

TEST_F(HostileCatalogTest, EscapesControlCharactersInDescriptions) {
  json made = oci_entry("registry.example");
  made["description"] =
      "a\x1b[2J\x07\xe2\x80\xae"
      "b\nc";
  use_catalog({made});
  for (const char* command : {"list", "inspect"}) {
    std::vector<std::string> words{"env", command};
    if (words.back() == "inspect") words.emplace_back("tool:1");
    expect_hides(pyro_ok(words).out, {"\x1b", "\x07", "\xe2\x80\xae"});
  }
}

}  // namespace
}  // namespace pyro::testing
