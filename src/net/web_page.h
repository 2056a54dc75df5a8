// Web pages in the place of what was asked for: networks that want a login first answer so.
#pragma once

#include <string_view>

#include "net/http.h"

namespace pyro {

/// What a HeadCheck may do with an answer that should be `expected` ("as a registry", "with an
/// archive").
/// @throws Error(network) for one that is for people, naming the host that gave it.
void refuse_web_page(const HttpResponse& response, std::string_view expected);

}  // namespace pyro
