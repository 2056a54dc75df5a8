// Turns the right answer of the fake registry into the one its rules ask for.
#pragma once

#include <vector>

#include "support/http_message.h"
#include "support/registry_faults.h"

namespace pyro::testing {

/// Honours the request's Range where the answer is whole content, and applies the faults.
/// Redirect faults are left to the caller.
HttpResponse apply_faults(HttpResponse response, const HttpRequest& request,
                          const std::vector<Fault>& faults, bool accepts_ranges);

}  // namespace pyro::testing
