// Whether tests may take minutes.
#pragma once

#include <cstdlib>

namespace pyro::testing {

/// With PYRO_LONG_TESTS set, tests visit every case that `make test` has no time for.
inline bool long_tests() {
  const char* const value = std::getenv("PYRO_LONG_TESTS");
  return value != nullptr && *value != '\0';
}

}  // namespace pyro::testing
