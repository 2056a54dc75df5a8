// Tests of the time to parse documents and settings of 1 MiB.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/strict_json.h"
#include "catalog/catalog.h"
#include "oci/container_config.h"
#include "oci/credentials.h"
#include "oci/manifest.h"
#include "oci/mirrors.h"
#include "store/install_record.h"
#include "support/temp_dir.h"
#include "worst_input.h"

namespace pyro::fuzz {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

// --- JSON ---

void json(const std::string& text) {
  static_cast<void>(parse_strict_json(text, ErrorCode::integrity));
}

const WorstInput kJson[] = {
    {"NestedArrays", json, [] { return filled("["); }},
    {"NestedObjects", json, [] { return filled("{\"a\":"); }},
    {"ManyNestings", json,
     [] { return filled(std::string(60, '[') + std::string(60, ']') + ",", "[", "0]"); }},
    {"ManyKeys", json,
     [] {
       return numbered([](auto i) { return "\"" + std::to_string(i) + "\":0,"; }, "{", "\"a\":0}");
     }},
    {"ManyNumbers", json, [] { return filled("0,", "[", "0]"); }},
    {"ManyFractions", json, [] { return filled("1.7976931348623157e308,", "[", "0]"); }},
    {"OneNumber", json, [] { return filled("1"); }},
    {"OneFraction", json, [] { return filled("1", "0."); }},
    {"OneText", json, [] { return filled("a", "\"", "\""); }},
    {"Quotes", json, [] { return filled("\\\"", "\"", "\""); }},
    {"Escapes", json, [] { return filled("\\ud83d\\ude00", "\"", "\""); }},
    {"LongKeys", json,
     [] {
       return numbered(
           [](auto i) { return "\"" + std::string(9000, 'k') + std::to_string(i) + "\":0,"; }, "{",
           "\"a\":0}");
     }},
    {"DuplicateKeyAtEnd", json,
     [] {
       return numbered([](auto i) { return "\"" + std::to_string(i) + "\":0,"; }, "{", "\"0\":0}");
     }},
    {"Blanks", json, [] { return filled(" "); }},
    {"LinesBeforeAnError", json, [] { return filled("\n", "", "x"); }},
};

// --- documents ---

void manifest(const std::string& text) {
  static_cast<void>(parse_manifest(text, {}));
}

void manifest_with_looks(const std::string& text) {
  const auto document = parse_manifest(text, {});
  const Index& index = std::get<Index>(document);
  static_cast<void>(choose_platform(index));
  static_cast<void>(entries_without_platform(index));
  static_cast<void>(list_platforms(index));
}

void catalog(const std::string& text) {
  static_cast<void>(parse_catalog(text, "/etc/pyro/catalog.json"));
}

void record(const std::string& text) {
  static_cast<void>(InstallRecord::parse(text));
}

void container_config(const std::string& text) {
  static_cast<void>(parse_container_config(text, 1));
}

const std::string kContainerHead =
    R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[")" + kDigest +
    R"("]},"config":{)";

std::string layer_entry(std::size_t) {
  return R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" + kDigest +
         R"(","size":1},)";
}

std::string catalog_entry(std::size_t number) {
  return nlohmann::json{{"name", "e" + std::to_string(number)},
                        {"version", "1"},
                        {"description", ""},
                        {"default_packages", nlohmann::json::array()},
                        {"distribution", "d"},
                        {"distribution_version", "1"},
                        {"source_profile", "p"},
                        {"source_url", "https://h/f"},
                        {"compatibility", ">=1,<2"}}
             .dump() +
         ",";
}

const std::string kManifestHead =
    R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","layers":[)";
const std::string kIndexHead =
    R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)";

const WorstInput kDocuments[] = {
    {"ManyLayers", manifest,
     [] { return numbered(layer_entry, kManifestHead, layer_entry(0) + "{}]}"); }},
    {"ManyAnnotationsOfALayer", manifest,
     [] {
       std::string last = layer_entry(0);
       last.resize(last.size() - 2);
       return numbered([](auto i) { return "\"" + std::to_string(i) + "\":\"\","; },
                       kManifestHead + last + ",\"annotations\":{", "\"a\":\"\"}}]}");
     }},
    {"ManyManifests", manifest, [] { return numbered(layer_entry, kIndexHead, "{}]}"); }},
    {"LongPlatforms", manifest_with_looks,
     [] {
       std::string last = layer_entry(0);
       last.resize(last.size() - 2);
       const std::string entry = last + R"(,"platform":{"os":"linux","architecture":")" +
                                 std::string(4000, 'x') + "\"}},";
       std::string all = kIndexHead;
       for (int i = 0; i < 240; ++i) all += entry;
       all.back() = ']';
       return all + "}";
     }},
    {"ManyFieldsOfAManifest", manifest,
     [] {
       return numbered([](auto i) { return "\"" + std::to_string(i) + "\":0,"; },
                       R"({"schemaVersion":2,)", "\"layers\":[]}");
     }},
    {"ManyEnvironments", catalog,
     [] {
       return numbered(catalog_entry, R"({"catalog_version":"1","environments":[)",
                       catalog_entry(1U << 30) + "{}]}");
     }},
    {"ManyPackages", catalog,
     [] {
       return filled("\"p\",",
                     R"({"catalog_version":"1","environments":[{"name":"a","version":"1",)"
                     R"("description":"","default_packages":[)",
                     "\"p\"]}]}");
     }},
    {"ManyFieldsOfACatalog", catalog,
     [] {
       return numbered([](auto i) { return "\"" + std::to_string(i) + "\":0,"; },
                       R"({"catalog_version":"1","environments":[],)", "\"a\":0}");
     }},
    {"LongCompatibility", catalog,
     [] {
       return filled(">=1.1,",
                     R"({"catalog_version":"1","environments":[{"name":"a","version":"1",)"
                     R"("description":"","default_packages":[],"distribution":"d",)"
                     R"("distribution_version":"1","source_profile":"p","compatibility":")",
                     ">=1\"}]}");
     }},
    {"ManyVariablesOfAContainer", container_config,
     [] {
       return numbered([](auto i) { return "\"A" + std::to_string(i) + "=\","; },
                       kContainerHead + "\"Env\":[", "\"A=\"]}}");
     }},
    {"OneVariableOfAContainer", container_config,
     [] {
       return numbered([](auto) { return "\"A=b\","; }, kContainerHead + "\"Env\":[", "\"A=\"]}}");
     }},
    {"ManyWordsOfAContainer", container_config,
     [] { return filled("\"\",", kContainerHead + "\"Entrypoint\":[", "\"\"]}}"); }},
    {"ManyLayersOfAContainer", container_config,
     [] {
       return filled("\"" + kDigest + "\",", R"({"rootfs":{"type":"layers","diff_ids":[)",
                     "\"" + kDigest + "\"]}}");
     }},
    {"ManyArtifacts", record,
     [] {
       return numbered(
           [](auto i) {
             return "\"" + std::to_string(i) + "\":{\"size\":1,\"digest\":\"" + kDigest + "\"},";
           },
           R"({"name":"a","version":"1","artifacts":{)", "\"a\":{}}}");
     }},
    {"NestedRecord", record, [] { return filled("["); }},
    {"RecordOfManyKeys", record,
     [] {
       return numbered([](auto i) { return "\"" + std::to_string(i) + "\":0,"; }, "{", "\"a\":0}");
     }},
};

// --- files of settings ---

/// Calls `parse` with a file of that content and mode 0600.
template <typename Parse>
void of_file(const std::string& text, const char* name, const Parse& parse) {
  const testing::TempDir dir;
  testing::write_file(dir / name, text);
  ASSERT_EQ(::chmod((dir / name).c_str(), 0600), 0);
  parse(dir / name);
}

void credential_file(const std::string& text) {
  of_file(text, "config.json", [](const std::filesystem::path& file) {
    const auto credentials = CredentialFile::read(file);
    std::string repository = "a";
    while (repository.size() + 2 <= 255) repository += "/a";
    for (const char* const registry : {"docker.io", "r.example"}) {
      static_cast<void>(credentials->own_helper_of(registry));
      static_cast<void>(credentials->helper_for(registry));
      static_cast<void>(credentials->find_for_part(registry, repository));
      static_cast<void>(credentials->find_for_host(registry));
    }
  });
}

void registries_conf(const std::string& text) {
  of_file(text, "registries.conf", [](const std::filesystem::path& file) {
    static_cast<void>(load_registries({file, file}));
  });
}

std::string numbered_registry(std::size_t number) {
  return "[[registry]]\nlocation=\"" + std::to_string(number) + "\"\n";
}

const WorstInput kSettings[] = {
    {"LongCredential", credential_file,
     [] { return filled("YTph", "{\"auths\":{\"r.example\":{\"auth\":\"", "\"}}}"); }},
    {"NestedCredentials", credential_file, [] { return filled("["); }},
    {"ManyRegistries", registries_conf, [] { return numbered(numbered_registry); }},
    {"ManyEqualRegistries", registries_conf,
     [] { return filled("[[registry]]\nlocation=\"a\"\n"); }},
    {"ManyMirrors", registries_conf,
     [] {
       return filled("[[registry.mirror]]\nlocation=\"a\"\n", "[[registry]]\nlocation=\"a\"\n");
     }},
    {"ManyHeads", registries_conf, [] { return filled("[[registry]]\n"); }},
    {"ManyTables", registries_conf,
     [] { return numbered([](auto i) { return "[a" + std::to_string(i) + "]\n"; }); }},
    {"ManyKeys", registries_conf,
     [] { return numbered([](auto i) { return "a" + std::to_string(i) + "=1\n"; }); }},
    {"DottedKeys", registries_conf,
     [] {
       return numbered([](auto i) {
         std::string key = "a";
         while (key.size() < 1900) key += ".a";
         return key + std::to_string(i) + "=1\n";
       });
     }},
    {"DottedTables", registries_conf,
     [] {
       return numbered([](auto i) {
         std::string key = "[a";
         while (key.size() < 1900) key += ".a";
         return key + std::to_string(i) + "]\n";
       });
     }},
    {"DottedKeysInALine", registries_conf, [] { return filled("a."); }},
    {"NestedLists", registries_conf, [] { return filled("[", "a="); }},
    {"NestedInlineTables", registries_conf, [] { return filled("{a=", "a="); }},
    {"LongList", registries_conf, [] { return filled("1,", "a=[", "1]"); }},
    {"LongText", registries_conf, [] { return filled("a", "a=\"", "\""); }},
    {"LongLocation", registries_conf,
     [] { return filled("/", "[[registry]]\nlocation=\"a", "\""); }},
    {"ManyEscapes", registries_conf, [] { return filled("\\u00e4", "a=\"", "\""); }},
    {"ManyLinesOfAText", registries_conf, [] { return filled("a\\\n", "a=\"\"\"", "\"\"\""); }},
    {"Comments", registries_conf, [] { return filled("#\n"); }},
    {"OneComment", registries_conf, [] { return filled("#"); }},
    {"OneNumber", registries_conf, [] { return filled("1", "a="); }},
    {"ForeignLetters", registries_conf, [] { return filled("\xc3\xa4", "#"); }},
};

constexpr auto kDocumentName = [](const auto& row) { return std::string(row.param.name); };

class DocumentTimeTest : public ParsingTimeTest {};

TEST_P(DocumentTimeTest, TakesAtMost1sFor1MiB) {
  expect_in_time(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Json, DocumentTimeTest, ::testing::ValuesIn(kJson), kDocumentName);
INSTANTIATE_TEST_SUITE_P(Documents, DocumentTimeTest, ::testing::ValuesIn(kDocuments),
                         kDocumentName);
INSTANTIATE_TEST_SUITE_P(Settings, DocumentTimeTest, ::testing::ValuesIn(kSettings), kDocumentName);

}  // namespace
}  // namespace pyro::fuzz
