// The install record.
#include "store/install_record.h"

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/strict_json.h"
#include "oci/container_config.h"
#include "store/layout.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxRecord = std::size_t{8} << 20;  // a config has 4 MiB at most
constexpr const char* kContainer = "container";

std::optional<std::string> text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return std::nullopt;
  return found->get<std::string>();
}

std::optional<InstallRecord::Artifact> parse_artifact(const json& value) {
  if (!value.is_object()) return std::nullopt;
  const auto size = value.find("size");
  const auto digest = Digest::parse(text_at(value, "digest").value_or(""));
  if (!digest || size == value.end() || !size->is_number_unsigned()) return std::nullopt;
  return InstallRecord::Artifact{size->get<std::uint64_t>(), *digest};
}

std::map<std::string, InstallRecord::Artifact> artifacts_in(const json& object) {
  std::map<std::string, InstallRecord::Artifact> artifacts;
  const auto found = object.find("artifacts");
  if (found == object.end() || !found->is_object()) return artifacts;
  for (const auto& [name, value] : found->items()) {
    if (const auto artifact = parse_artifact(value)) artifacts.emplace(name, *artifact);
  }
  return artifacts;
}

std::optional<BaseRecord> base_in(const json& object) {
  const auto base = object.find("base");
  if (base == object.end() || !base->is_object()) return std::nullopt;
  auto name = text_at(*base, "name");
  if (!name) return std::nullopt;
  BaseRecord record{.name = std::move(*name)};
  const auto digests = base->find("digests");
  if (digests == base->end() || !digests->is_object()) return record;
  for (const auto& [file, value] : digests->items()) {
    const auto digest = value.is_string() ? Digest::parse(value.get<std::string>()) : std::nullopt;
    if (digest) record.digests.emplace(file, *digest);
  }
  return record;
}

json write_base(const BaseRecord& base) {
  json digests = json::object();
  for (const auto& [file, digest] : base.digests) digests[file] = digest.to_string();
  return {{"name", base.name}, {"digests", std::move(digests)}};
}

}  // namespace

std::optional<InstallRecord> InstallRecord::parse(std::string_view text) {
  const json object = parse_strict_json_or_null(text);
  if (!object.is_object()) return std::nullopt;
  auto name = text_at(object, "name");
  auto version = text_at(object, "version");
  if (!name || !version) return std::nullopt;
  InstallRecord record;
  record.name = std::move(*name);
  record.version = std::move(*version);
  record.catalog_version = text_at(object, "catalog_version").value_or("");
  record.source = text_at(object, "source").value_or("cache");
  record.source_digest = text_at(object, "source_digest");
  if (const auto at = object.find("installed_at"); at != object.end() && at->is_number_integer()) {
    record.installed_at = at->get<std::int64_t>();
  }
  if (const auto file = text_at(object, "catalog_file")) record.catalog_file = *file;
  record.oci_digest = Digest::parse(text_at(object, "oci_digest").value_or(""));
  record.artifacts = artifacts_in(object);
  if (text_at(object, "kind") == kContainer) record.kind = EnvironmentKind::container;
  if (const auto config = object.find("config"); config != object.end()) {
    record.config = read_container_config(*config);
  }
  record.base = base_in(object);
  return record;
}

std::map<std::string, InstallRecord::Artifact> InstallRecord::parse_artifacts(
    std::string_view text) {
  const json object = parse_strict_json_or_null(text);
  return object.is_object() ? artifacts_in(object) : std::map<std::string, Artifact>();
}

std::optional<InstallRecord> InstallRecord::read(int directory) {
  const auto text = read_small_file_at(directory, kRecordName, kMaxRecord);
  return text ? parse(*text) : std::nullopt;
}

std::string InstallRecord::render() const {
  json object = {
      {"catalog_version", catalog_version},
      {"name", name},
      {"version", version},
      {"source", source},
      {"source_digest", source_digest ? json(*source_digest) : json()},
      {"installed_at", installed_at},
  };
  if (catalog_file) object["catalog_file"] = catalog_file->string();
  if (oci_digest) object["oci_digest"] = oci_digest->to_string();
  if (kind == EnvironmentKind::container) object["kind"] = kContainer;
  if (config) object["config"] = write_container_config(*config);
  if (base) object["base"] = write_base(*base);
  for (const auto& [name_of, artifact] : artifacts) {
    object["artifacts"][name_of] = {{"size", artifact.size},
                                    {"digest", artifact.digest.to_string()}};
  }
  return object.dump(2, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace) + "\n";
}

}  // namespace pyro
