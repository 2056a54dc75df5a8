// How limits are written in messages.
#pragma once

#include <cstdint>
#include <string>

namespace pyro {

/// "64 MiB": whole ones, rounded down.
[[nodiscard]] inline std::string mib(std::uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

}  // namespace pyro
