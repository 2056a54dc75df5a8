// JSON read so that everybody who reads it reads the same.
//
// Source: RFC 8259 section 4 leaves it open what a repeated name means; CVE-2021-41190 is what
// comes of such openness between registries and clients.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "pyro/error.h"

namespace pyro {

/// `text` as JSON: one value, UTF-8, no name twice in an object, at most 64 levels deep.
/// @throws Error(code) saying what is wrong; the caller adds of what.
[[nodiscard]] nlohmann::json parse_strict_json(std::string_view text, ErrorCode code);

}  // namespace pyro
