// JSON without ambiguities, read at a bounded cost.
//
// Source: RFC 8259 section 4 leaves the meaning of repeated names open; CVE-2021-41190 is a result
// of that between registries and clients.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string_view>

#include "pyro/error.h"

namespace pyro {

/// The limit of values in a document, with objects and arrays. A catalog of 5,000 entries has
/// 100,000.
inline constexpr std::size_t kMaxJsonValues = 100'000;

/// `text` as JSON: one value, UTF-8, no name twice in an object, at most 64 levels deep and
/// kMaxJsonValues values. Time and memory are linear in the size of `text`.
/// @throws Error(code) "line 3, column 7: not valid JSON: ..." or, for a repeated key,
/// "environments[1]: field 'name': given twice"; Error(interrupted) once `stop` is requested.
[[nodiscard]] nlohmann::json parse_strict_json(std::string_view text, ErrorCode code,
                                               const std::stop_token& stop = {});

/// The same, with the fields of objects in the order of `text`.
[[nodiscard]] nlohmann::ordered_json parse_ordered_json(std::string_view text, ErrorCode code);

/// The same for documents that count as missing when they are invalid: null in place of an error.
[[nodiscard]] nlohmann::json parse_strict_json_or_null(std::string_view text);

}  // namespace pyro
