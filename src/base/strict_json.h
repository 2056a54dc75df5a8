// JSON read so that everybody who reads it reads the same.
//
// Source: RFC 8259 section 4 leaves it open what a repeated name means; CVE-2021-41190 is what
// comes of such openness between registries and clients.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

#include "pyro/error.h"

namespace pyro {

/// `text` as JSON: one value, UTF-8, no name twice in an object, at most 64 levels deep.
/// @throws Error(code) "line 3, column 7: not valid JSON: ...", or, for a key that stands twice
/// in one object, "environments[1]: field 'name': given twice": a parser would keep either.
[[nodiscard]] nlohmann::json parse_strict_json(std::string_view text, ErrorCode code);

}  // namespace pyro
