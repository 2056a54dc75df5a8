// What a file is called until it is whole.
#pragma once

#include <string>

namespace pyro {

/// Another one each time, and not made of the file's own name, which may be as long as names get.
/// @throws Error(filesystem) when there is no randomness to be had
[[nodiscard]] std::string temporary_name();

}  // namespace pyro
