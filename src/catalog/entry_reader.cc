// One entry of a catalog file, from JSON to an Environment.
#include "catalog/entry_reader.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "base/oci_names.h"
#include "catalog/field_reader.h"
#include "catalog/install_name.h"
#include "catalog/names.h"
#include "catalog/source_url.h"
#include "catalog/version_range.h"

namespace pyro {
namespace {

constexpr std::string_view kFields[] = {
    "name",         "version",        "description",   "default_packages", "distribution",
    "platform",     "source_profile", "source_url",    "source_digest",    "distribution_version",
    "oci_registry", "oci_repository", "oci_reference", "oci_digest",       "source_sha256",
    "compatibility"};

/// A file name has at most 255 bytes; staging and locks add to it.
constexpr std::size_t kLongestInstallName = 200;

constexpr Grammar kNameGrammar{
    is_environment_name, "a name like 'debian:12': a-z 0-9 . _ - and at most one ':' before a tag"};
constexpr Grammar kVersion{is_version, "a version like '1.0.0': letters, digits, . _ + -"};
constexpr Grammar kProfile{is_source_profile, "a folder name like 'debian-git': a-z 0-9 . _ -"};
constexpr Grammar kPlatformOnly{[](std::string_view text) { return text == kPlatform; },
                                "'linux-x86_64', the only platform there is"};
constexpr Grammar kRegistry{is_oci_registry,
                            "a registry like 'registry.example:5000': host and port, without "
                            "scheme or path"};
constexpr Grammar kRepository{is_oci_repository, "a repository like 'team/environment'"};
constexpr Grammar kReference{is_oci_reference, "a tag like '1.0.0' or a digest 'sha256:...'"};
constexpr Grammar kCompatibility{
    [](std::string_view text) { return VersionRange::parse(text).has_value(); },
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

void read_oci(const FieldReader& fields, Environment& environment) {
  environment.oci_registry = fields.optional("oci_registry", kRegistry);
  environment.oci_repository = fields.optional("oci_repository", kRepository);
  environment.oci_reference = fields.optional("oci_reference", kReference);
  environment.oci_digest = fields.optional_digest("oci_digest");
  if (!environment.oci_digest) return;
  // A pin that nothing is held against would be a false comfort.
  const bool from_registry = environment.oci_registry && environment.oci_repository;
  if (!from_registry && !split_layout_url(fields.optional("source_url").value_or(""))) {
    fields.fail("oci_digest", "pins nothing without 'oci_registry' and 'oci_repository'");
  }
  const auto reference = Digest::parse(environment.oci_reference.value_or(""));
  if (reference && *reference != *environment.oci_digest) {
    fields.fail("oci_digest", "is not the digest that 'oci_reference' asks for");
  }
}

/// "https://host/file#sha256=HEX" is how others write checksums. One that is not understood must
/// not look as if it were; what cannot be one is for browsers, and left alone.
void take_checksum_of_url(const FieldReader& fields, Environment& environment) {
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
  take_checksum_of_url(fields, environment);
  if (environment.source_sha256 && split_layout_url(*environment.source_url)) {
    fields.fail("source_sha256", "is for archives; 'oci_digest' pins an image of a layout");
  }
  const auto complaint =
      source_url_complaint(*environment.source_url, environment.source_sha256.has_value());
  if (complaint) fields.fail("source_url", *complaint);
  environment.source_url = resolve_source_url(std::move(*environment.source_url), directory);
}

}  // namespace

Environment read_entry(const nlohmann::json& entry, std::size_t index,
                       const std::filesystem::path& file) {
  const std::string position = "environments[" + std::to_string(index) + "]";
  Environment environment;
  environment.name = FieldReader(entry, position).required("name", kNameGrammar);
  const FieldReader fields(entry, "environment '" + environment.name + "'");
  fields.refuse_unknown(kFields);
  read_description(fields, environment);
  read_oci(fields, environment);
  read_archive(fields, environment, file.parent_path());
  environment.catalog_file = file;
  if (install_directory_name(environment).size() > kLongestInstallName) {
    fields.fail("name", "is too long: name and version together have at most " +
                            std::to_string(kLongestInstallName - 1) + " characters");
  }
  return environment;
}

}  // namespace pyro
