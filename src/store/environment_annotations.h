// What the images that pyro exports say of themselves, beyond OCI's own annotations.
#pragma once

#include <string_view>

namespace pyro {

inline constexpr std::string_view kEnvironmentName = "io.pyro.environment.name";
inline constexpr std::string_view kEnvironmentVersion = "io.pyro.environment.version";
/// Where it was pulled from, and what digest that had: claims, which no pin is held against.
inline constexpr std::string_view kEnvironmentSource = "io.pyro.environment.source";
inline constexpr std::string_view kEnvironmentSourceDigest = "io.pyro.environment.source-digest";

/// Its catalog entry as JSON, for a machine whose catalog does not know it.
inline constexpr std::string_view kEnvironmentEntry = "io.pyro.environment.entry";

}  // namespace pyro
