// The grammar of the names pyro itself gives: environments, versions, source profiles.
//
// Source: spec section 3. Whatever passes is safe as part of a path: no slash, no leading dot, no
// control character.
#pragma once

#include <string_view>

namespace pyro {

/// `[a-z0-9][a-z0-9._-]*(:[A-Za-z0-9._-]+)?`
[[nodiscard]] bool is_environment_name(std::string_view text) noexcept;

/// `[A-Za-z0-9][A-Za-z0-9._+-]*`
[[nodiscard]] bool is_version(std::string_view text) noexcept;

/// `[a-z0-9][a-z0-9._-]*`
[[nodiscard]] bool is_source_profile(std::string_view text) noexcept;

}  // namespace pyro
