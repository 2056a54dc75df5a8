// Puts a catalog together: the built-in entries, then file after file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "pyro/catalog.h"

namespace pyro {

/// Absolute, and one name for one file wherever pyro is called from: install records remember it.
/// The last component stays as it is, so that a link may be pointed elsewhere.
[[nodiscard]] std::filesystem::path stable_path(const std::filesystem::path& file);

class CatalogBuilder {
 public:
  /// Begins with the built-in environments.
  CatalogBuilder();
  /// Begins with all of `catalog`.
  explicit CatalogBuilder(const Catalog& catalog);

  /// The entries of `file` replace those of the same name.
  void lay_over(const std::filesystem::path& file);
  /// `environment` replaces the one of its name.
  void lay_over(Environment environment);

  /// @throws Error(failed) when two entries would be installed in one directory.
  [[nodiscard]] Catalog build() const;

 private:
  void refuse_shared_directories() const;

  std::map<std::string, Environment> by_name_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace pyro
