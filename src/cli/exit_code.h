// The exit codes of the executable.
//
// Source: spec section 9.
#pragma once

#include "pyro/error.h"

namespace pyro::cli {

inline constexpr int kDone = 0;

[[nodiscard]] constexpr int exit_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::failed:
      return 1;
    case ErrorCode::usage:
      return 2;
    case ErrorCode::not_found:
      return 3;
    case ErrorCode::network:
      return 4;
    case ErrorCode::integrity:
      return 5;
    case ErrorCode::filesystem:
      return 6;
    case ErrorCode::busy:
      return 75;
    case ErrorCode::interrupted:
      return 130;
  }
  return 1;
}

}  // namespace pyro::cli
