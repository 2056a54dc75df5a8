// A catalog entry's source_url as a place on this machine.
#pragma once

#include <optional>
#include <string>

namespace pyro {

/// The path that `source_url` names, as a path or as a file URL; nothing when it is fetched from
/// elsewhere.
[[nodiscard]] std::optional<std::string> source_path(const std::string& source_url);

}  // namespace pyro
