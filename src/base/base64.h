// Base64, as Basic authentication and docker's config.json use it.
//
// Source: RFC 4648 section 4.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pyro {

[[nodiscard]] std::string base64_encode(std::string_view bytes);

/// Nothing unless `text` is base64 to the last character; padding may be left off.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace pyro
