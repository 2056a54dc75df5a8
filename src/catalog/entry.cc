// One entry of a catalog: JSON to an Environment, and back.
#include "catalog/entry.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/reference.h"
#include "base/strict_json.h"
#include "catalog/names.h"
#include "pyro/error.h"

namespace pyro {
namespace {

std::string found(std::string_view expected, const nlohmann::json& value) {
  return "expected " + std::string(expected) + ", found " + value.type_name();
}

constexpr std::string_view kFields[] = {"name",         "kind",           "base",
                                        "version",      "description",    "default_packages",
                                        "distribution", "platform",       "source_profile",
                                        "source_url",   "source_digest",  "distribution_version",
                                        "oci_registry", "oci_repository", "oci_reference",
                                        "oci_digest",   "source_sha256",  "compatibility"};

/// A file name has at most 255 bytes; staging and locks add to it.
constexpr std::size_t kMaxInstallName = 200;

constexpr Grammar kNameGrammar{
    [](std::string_view text) { return is_environment_name(text) || is_image_name(text); },
    "a name like 'debian:12': a-z 0-9 . _ - and at most one ':' before a tag"};
constexpr Grammar kVersion{is_version, "a version like '1.0.0': letters, digits, . _ + -"};
constexpr Grammar kProfile{is_source_profile, "a folder name like 'debian-git': a-z 0-9 . _ -"};
constexpr std::string_view kContainer = "container";
constexpr Grammar kKind{
    [](std::string_view text) { return text == "environment" || text == kContainer; },
    "'environment' or 'container'"};
constexpr Grammar kPlatformOnly{[](std::string_view text) { return text == kPlatform; },
                                "'linux-x86_64', the only platform there is"};
constexpr Grammar kRegistry{is_oci_registry,
                            "a registry like 'registry.example:5000': host and port, without "
                            "scheme or path"};
constexpr Grammar kRepository{is_oci_repository, "a repository like 'team/environment'"};
constexpr Grammar kReference{is_oci_reference, "a tag like '1.0.0' or a digest 'sha256:...'"};
constexpr Grammar kCompatibility{
    [](std::string_view text) { return version_in_range(kCatalogVersion, text).has_value(); },
    "a range like '>=4.5.0,<5.0.0'"};

void read_description(const FieldReader& fields, Environment& environment) {
  environment.version = fields.required("version", kVersion);
  environment.description = fields.required("description");
  environment.default_packages = fields.required_list("default_packages");
  environment.distribution = fields.required("distribution");
  environment.distribution_version = fields.required("distribution_version");
  environment.source_profile = fields.required("source_profile", kProfile);
  environment.source_digest = fields.optional("source_digest");
  environment.platform = fields.optional("platform", kPlatformOnly).value_or(environment.platform);
  environment.compatibility =
      fields.optional("compatibility", kCompatibility).value_or(environment.compatibility);
}

void read_kind(const FieldReader& fields, Environment& environment) {
  if (fields.optional("kind", kKind) == kContainer) environment.kind = EnvironmentKind::container;
  if (environment.kind == EnvironmentKind::environment && is_image_name(environment.name)) {
    fields.fail("name", "is that of an image, which only a container may have");
  }
  environment.base = fields.optional("base", kNameGrammar);
  if (environment.base && environment.kind != EnvironmentKind::container) {
    fields.fail("base", "is for a container image, which has no kernel of its own");
  }
}

void read_oci(const FieldReader& fields, Environment& environment) {
  environment.oci_registry = fields.optional("oci_registry", kRegistry);
  environment.oci_repository = fields.optional("oci_repository", kRepository);
  environment.oci_reference = fields.optional("oci_reference", kReference);
  environment.oci_digest = fields.optional_digest("oci_digest");
  if (!environment.oci_digest) return;
  // A pin without anything to compare it with would protect nothing.
  const bool from_registry = environment.oci_registry && environment.oci_repository;
  if (!from_registry && !split_layout_url(fields.optional("source_url").value_or(""))) {
    fields.fail("oci_digest", "pins nothing without 'oci_registry' and 'oci_repository'");
  }
  const auto reference = Digest::parse(environment.oci_reference.value_or(""));
  if (reference && *reference != *environment.oci_digest) {
    fields.fail("oci_digest", "is not the digest that 'oci_reference' asks for");
  }
}

/// Moves the checksum out of "https://host/file#sha256=HEX". A malformed one is an error, so that
/// it is not taken for a pin; a fragment without '=' is left in the URL.
void move_checksum_from_url(const FieldReader& fields, Environment& environment) {
  constexpr std::string_view kKey = "sha256=";
  std::string& url = *environment.source_url;
  const auto fragment = fragment_of(url);
  if (!fragment || fragment->find('=') == fragment->npos) return;
  const auto digest =
      fragment->starts_with(kKey) ? Digest::parse_hex(fragment->substr(kKey.size())) : std::nullopt;
  if (!digest) {
    fields.fail("source_url",
                "what follows '#' is not 'sha256=' and 64 lower-case hexadecimal digits");
  }
  if (environment.source_sha256.value_or(*digest) != *digest) {
    fields.fail("source_url", "the checksum behind '#' is another one than 'source_sha256'");
  }
  environment.source_sha256 = digest;
  url.resize(url.find('#'));
}

void read_archive(const FieldReader& fields, Environment& environment,
                  const std::filesystem::path& directory) {
  environment.source_url = fields.optional("source_url");
  environment.source_sha256 = fields.optional_checksum("source_sha256");
  if (!environment.source_url) {
    if (environment.source_sha256)
      fields.fail("source_sha256", "pins nothing without 'source_url'");
    return;
  }
  move_checksum_from_url(fields, environment);
  if (environment.source_sha256 && split_layout_url(*environment.source_url)) {
    fields.fail("source_sha256", "is for archives; 'oci_digest' pins an image of a layout");
  }
  const auto complaint =
      source_url_complaint(*environment.source_url, environment.source_sha256.has_value());
  if (complaint) fields.fail("source_url", *complaint);
  environment.source_url = resolve_source_url(std::move(*environment.source_url), directory);
}

/// The tag or digest that the entry asks for; an entry may have the pin alone.
std::string reference_of(const Environment& environment) {
  if (environment.oci_reference) return *environment.oci_reference;
  return environment.oci_digest ? environment.oci_digest->to_string() : "";
}

constexpr std::size_t kMaxPortableEntry = std::size_t{64} << 10;

bool may_be_passed_on(const std::string& url) {
  return url.starts_with("https://") && url.find_first_of("@?") == url.npos;
}

Environment without_local_source(Environment environment) {
  if (environment.oci_registry && environment.oci_digest) {
    environment.oci_reference = environment.oci_digest->to_string();
  }
  if (environment.source_sha256 || !may_be_passed_on(environment.source_url.value_or(""))) {
    environment.source_url.reset();
  }
  environment.oci_digest.reset();
  environment.source_sha256.reset();
  return environment;
}

}  // namespace

bool parse_sources(Environment& environment) {
  if (environment.source_url) {
    environment.location =
        parse_location(*environment.source_url, environment.oci_digest, environment.source_sha256);
  }
  const std::string reference = reference_of(environment);
  if (!environment.oci_registry || !environment.oci_repository || reference.empty()) return true;
  auto image =
      ImageReference::make(*environment.oci_registry, *environment.oci_repository, reference);
  if (!image) return false;
  environment.registry = RegistrySource{std::move(*image), environment.oci_digest};
  return true;
}

FieldReader::FieldReader(const nlohmann::json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (object_.is_object()) return;
  throw Error(ErrorCode::failed,
              where_ + (where_.empty() ? "" : ": ") + found("an object", object_));
}

void FieldReader::fail(std::string_view name, std::string_view complaint, std::string hint) const {
  std::string message = where_;
  if (!where_.empty()) message += ": ";
  message.append("field '").append(name).append("': ").append(complaint);
  throw Error(ErrorCode::failed, std::move(message), std::move(hint));
}

const nlohmann::json* FieldReader::find(std::string_view name) const {
  const auto field = object_.find(name);
  return field == object_.end() ? nullptr : &*field;
}

std::string FieldReader::text_of(std::string_view name, const nlohmann::json& value) const {
  if (!value.is_string()) fail(name, found("a string", value));
  return value.get<std::string>();
}

void FieldReader::hold_against(std::string_view name, const std::string& text,
                               const Grammar& grammar) const {
  if (grammar.holds(text)) return;
  fail(name, "'" + text + "' is not " + std::string(grammar.expected));
}

std::string FieldReader::required(std::string_view name) const {
  const nlohmann::json* const value = find(name);
  if (value == nullptr) fail(name, "is missing");
  return text_of(name, *value);
}

std::string FieldReader::required(std::string_view name, const Grammar& grammar) const {
  std::string text = required(name);
  hold_against(name, text, grammar);
  return text;
}

std::optional<std::string> FieldReader::optional(std::string_view name) const {
  const nlohmann::json* const value = find(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  return text_of(name, *value);
}

std::optional<std::string> FieldReader::optional(std::string_view name,
                                                 const Grammar& grammar) const {
  auto text = optional(name);
  if (text) hold_against(name, *text, grammar);
  return text;
}

std::vector<std::string> FieldReader::required_list(std::string_view name) const {
  const nlohmann::json* const list = find(name);
  if (list == nullptr) fail(name, "is missing");
  if (!list->is_array()) fail(name, found("an array of strings", *list));
  std::vector<std::string> texts;
  for (const nlohmann::json& item : *list) {
    if (!item.is_string()) fail(name, found("an array of strings", item) + " in it");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::optional<Digest> FieldReader::optional_digest(std::string_view name) const {
  const auto text = optional(name);
  if (!text) return std::nullopt;
  const auto digest = Digest::parse(*text);
  if (!digest) fail(name, "'" + *text + "' is not 'sha256:' and 64 lower-case hexadecimal digits");
  return digest;
}

std::optional<Digest> FieldReader::optional_checksum(std::string_view name) const {
  const auto text = optional(name);
  if (!text) return std::nullopt;
  const auto digest =
      text->starts_with("sha256:") ? Digest::parse(*text) : Digest::parse_hex(*text);
  if (!digest) fail(name, "'" + *text + "' is not 64 lower-case hexadecimal digits");
  return digest;
}

void FieldReader::refuse_unknown(std::span<const std::string_view> known) const {
  for (const auto& [name, value] : object_.items()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const auto suggestion = closest(name, known);
    fail(name, "is not known",
         suggestion ? "did you mean '" + std::string(*suggestion) + "'?" : std::string());
  }
}

Environment read_entry(const nlohmann::json& entry, std::size_t index,
                       const std::filesystem::path& file) {
  const std::string position = "environments[" + std::to_string(index) + "]";
  Environment environment;
  environment.name = FieldReader(entry, position).required("name", kNameGrammar);
  const FieldReader fields(entry, "environment '" + environment.name + "'");
  fields.refuse_unknown(kFields);
  read_kind(fields, environment);
  read_description(fields, environment);
  read_oci(fields, environment);
  read_archive(fields, environment, file.parent_path());
  if (!parse_sources(environment)) {
    fields.fail("oci_repository",
                "is too long: a registry and a repository together have at most "
                "255 characters");
  }
  environment.catalog_file = file;
  if (install_directory_name(environment).size() > kMaxInstallName) {
    fields.fail("name", "is too long: name and version together have at most " +
                            std::to_string(kMaxInstallName - 1) + " characters");
  }
  return environment;
}

nlohmann::ordered_json write_entry(const Environment& environment) {
  nlohmann::ordered_json entry = {{"name", environment.name},
                                  {"version", environment.version},
                                  {"description", environment.description},
                                  {"default_packages", environment.default_packages},
                                  {"distribution", environment.distribution},
                                  {"distribution_version", environment.distribution_version},
                                  {"source_profile", environment.source_profile}};
  const auto put = [&](const char* field, const std::optional<std::string>& value) {
    if (value) entry[field] = *value;
  };
  if (environment.compatibility != Environment().compatibility) {
    entry["compatibility"] = environment.compatibility;
  }
  if (environment.kind == EnvironmentKind::container) entry["kind"] = kContainer;
  put("base", environment.base);
  put("oci_registry", environment.oci_registry);
  put("oci_repository", environment.oci_repository);
  put("oci_reference", environment.oci_reference);
  if (environment.oci_digest) entry["oci_digest"] = environment.oci_digest->to_string();
  put("source_url", environment.source_url);
  if (environment.source_sha256) entry["source_sha256"] = environment.source_sha256->hex();
  put("source_digest", environment.source_digest);
  return entry;
}

std::string write_portable_entry(const Environment& environment) {
  return write_entry(without_local_source(environment))
      .dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::ordered_json::error_handler_t::replace);
}

Environment read_portable_entry(std::string_view text, const std::filesystem::path& file) {
  if (text.size() > kMaxPortableEntry) {
    throw Error(ErrorCode::integrity, "it is larger than 64 KiB");
  }
  Environment environment;
  try {
    environment = read_entry(parse_strict_json(text, ErrorCode::integrity), 0, file);
  } catch (const Error& error) {
    throw Error(ErrorCode::integrity, error.what(), error.hint());
  }
  if (write_entry(without_local_source(environment)) == write_entry(environment)) {
    return environment;
  }
  throw Error(ErrorCode::integrity, "it names a source that is for the exporting machine only");
}

}  // namespace pyro
