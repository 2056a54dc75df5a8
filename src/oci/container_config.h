// The config of a container image as JSON, and back.
//
// Source: OCI image specification, config.md; Docker's image specification v1.2.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "pyro/container_config.h"

namespace pyro {

/// Parses an image's config. `layers` is the number of layers in its manifest. Fields that are
/// missing or null are empty, as in Docker's configs.
/// @throws Error(integrity) for a field of another type, a zero byte, a variable without a name, a
/// relative working directory, and another number of diff_ids than of layers
[[nodiscard]] ContainerConfig parse_container_config(std::string_view text, std::size_t layers);

/// The fields as an install record keeps them: those of the specification that are not empty.
[[nodiscard]] nlohmann::json write_container_config(const ContainerConfig& config);

/// Reads those. Fields of a wrong type count as absent.
[[nodiscard]] ContainerConfig read_container_config(const nlohmann::json& object);

}  // namespace pyro
