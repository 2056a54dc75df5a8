// Where an archive or an image layout may be fetched from: the rules for an entry's `source_url`.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

/// What is wrong with `url` as a source, or nothing: https, file, oci, oci-archive,
/// docker-archive and paths are fine, http with a checksum or from this machine only, everything
/// else is refused.
[[nodiscard]] std::optional<std::string> source_url_complaint(std::string_view url,
                                                              bool has_checksum);

/// A relative path made absolute against `directory`, where its catalog file lies; anything else
/// as it is.
[[nodiscard]] std::string resolve_source_url(std::string url,
                                             const std::filesystem::path& directory);

}  // namespace pyro
