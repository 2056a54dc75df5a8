// What a catch clause caught, as an Error.
#pragma once

#include "pyro/error.h"

namespace pyro {

/// The exception that is being handled: an Error as it is, anything else as Error(failed). For the
/// outermost catch clauses; everybody else lets through what is no Error.
[[nodiscard]] Error caught_error();

}  // namespace pyro
