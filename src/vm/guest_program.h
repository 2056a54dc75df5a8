// The program of src/guest/, built into the library.
#pragma once

#include <string_view>

namespace pyro {

[[nodiscard]] std::string_view guest_program() noexcept;

}  // namespace pyro
