// Puts a catalog together: the built-in entries, then file after file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "pyro/catalog.h"

namespace pyro {

class CatalogBuilder {
 public:
  /// Begins with the built-in environments.
  CatalogBuilder();

  /// The entries of `file` replace those of the same name.
  void lay_over(const std::filesystem::path& file);

  /// @throws Error(failed) when two entries would be installed in one directory.
  [[nodiscard]] Catalog build() const;

 private:
  void refuse_shared_directories() const;

  std::map<std::string, Environment> by_name_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace pyro
