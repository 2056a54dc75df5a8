// The catalog: built-in entries, with the entries of files laid over them.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/catalog.h"

namespace pyro {

/// The absolute path of `file` with links in its directory resolved: the same text whatever the
/// working directory is, as install records keep it. A link in the last component is kept, so that
/// it may be pointed elsewhere.
[[nodiscard]] std::filesystem::path stable_path(const std::filesystem::path& file);

/// Puts a Catalog together. A later entry replaces an earlier one of its name.
class CatalogBuilder {
 public:
  /// Starts with the built-in environments.
  CatalogBuilder();
  /// Starts with the entries of `catalog`.
  explicit CatalogBuilder(const Catalog& catalog);

  /// @throws as read_catalog_file() does
  void lay_over(const std::filesystem::path& file);
  void lay_over(Environment environment);

  /// @throws Error(failed) when two entries would be installed in one directory.
  [[nodiscard]] Catalog build() const;

 private:
  void refuse_shared_directories() const;

  std::map<std::string, Environment> by_name_;
  std::vector<std::filesystem::path> files_;
};

inline constexpr std::size_t kMaxCatalogFile = std::size_t{4} << 20;

/// The environments of `file`, an absolute path, in the order of the file. Reads pipes, too.
/// @throws Error(filesystem) when it cannot be read; (failed) "<file>: ..." naming entry and field.
[[nodiscard]] std::vector<Environment> read_catalog_file(const std::filesystem::path& file);

/// The text of `file`.
/// @throws Error(filesystem) when it cannot be read; (failed) when it is too large.
[[nodiscard]] std::string read_catalog_text(const std::filesystem::path& file);

/// The environments in text that was read from `file`.
[[nodiscard]] std::vector<Environment> parse_catalog(std::string_view text,
                                                     const std::filesystem::path& file);

}  // namespace pyro
