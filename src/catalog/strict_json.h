// JSON text to a value, refusing what a person would not have meant.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace pyro {

/// @throws Error(failed) "line 3, column 7: not valid JSON: ...", or, for a key that stands twice
/// in one object, "environments[1]: field 'name': given twice": a parser would keep either.
[[nodiscard]] nlohmann::json parse_strict_json(std::string_view text);

}  // namespace pyro
