// A catalog file: JSON in, checked environments out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/catalog.h"

namespace pyro {

inline constexpr std::size_t kLargestCatalogFile = std::size_t{4} << 20;

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
