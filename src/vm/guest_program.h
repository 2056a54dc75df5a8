// The program of src/guest/, built into the library.
#pragma once

#include <string_view>

namespace pyro {

[[nodiscard]] std::string_view guest_program() noexcept;

/// Its SHA-256, as lower-case digits: found out when it was built in.
[[nodiscard]] std::string_view guest_program_digest() noexcept;

}  // namespace pyro
