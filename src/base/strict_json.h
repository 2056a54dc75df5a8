// JSON read so that all readers read the same, at a bounded cost.
//
// Source: RFC 8259 section 4 leaves it open what a repeated name means; CVE-2021-41190 is what
// comes of such openness between registries and clients.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string_view>

#include "pyro/error.h"

namespace pyro {

/// Of one document: objects, arrays and everything in them. A catalog of 5,000 entries has 100,000.
inline constexpr std::size_t kMaxJsonValues = 100'000;

/// `text` as JSON: one value, UTF-8, no name twice in an object, at most 64 levels deep and
/// kMaxJsonValues large. Time and memory are linear in the size of `text`.
/// @throws Error(code) "line 3, column 7: not valid JSON: ...", or, for a key that stands twice
/// in one object, "environments[1]: field 'name': given twice": a parser would keep either;
/// Error(interrupted) once `stop` is requested.
[[nodiscard]] nlohmann::json parse_strict_json(std::string_view text, ErrorCode code,
                                               const std::stop_token& stop = {});

/// The same, with the fields of objects in the order that they have in `text`.
[[nodiscard]] nlohmann::ordered_json parse_ordered_json(std::string_view text, ErrorCode code);

/// The same for documents that count as missing where they cannot be read: null in place of an
/// error.
[[nodiscard]] nlohmann::json parse_strict_json_or_null(std::string_view text);

}  // namespace pyro
