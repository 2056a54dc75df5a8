// Puts a catalog together: the built-in entries, then file after file.
#include "catalog/catalog_builder.h"

#include <system_error>
#include <utility>

#include "catalog/built_in.h"
#include "catalog/catalog_file.h"
#include "catalog/install_name.h"
#include "pyro/error.h"

namespace pyro {
namespace {

std::string origin_of(const Environment& environment) {
  return environment.catalog_file ? " (" + environment.catalog_file->string() + ")" : " (built in)";
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

}  // namespace pyro
