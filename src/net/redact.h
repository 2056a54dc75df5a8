// URLs as they may be shown: what identifies a place, and none of what opens it.
#pragma once

#include <string>
#include <string_view>

namespace pyro {

/// `url` without user info, query and fragment, where signatures and tokens travel. Takes any text;
/// a URL that does not parse is cut as well.
[[nodiscard]] std::string redact(std::string_view url);

}  // namespace pyro
