// Redirects: where a request may be sent, and which headers are sent along.
//
// Source: RFC 9110 section 15.4; notes on CVE-2020-15157 and similar ones in the distribution
// specification ("MUST NOT forward Authorization across hosts").
#pragma once

#include <cstddef>

#include "net/http.h"

namespace pyro {

inline constexpr int kMaxRedirects = 10;

/// client.get() through at most kMaxRedirects of 301, 302, 303, 307 and 308.
///
/// When the origin (scheme, host, port) changes, Authorization, Cookie and `insecure` are dropped
/// for the rest of the chain. Redirects are refused from https to http, from plain http on this
/// machine to plain http elsewhere, and from a globally reachable address into the local network. A
/// request with a form is never redirected. User info in request.url becomes an Authorization
/// header (https only); in a Location it is ignored.
/// @throws Error(network) naming the host that redirected; and exceptions of client.get().
HttpResponse follow(HttpClient& client, const HttpRequest& request, const BodySink& sink);

/// follow() with the body of a 2xx, at most `limit` bytes of it, in the response.
[[nodiscard]] HttpResponse follow_small(HttpClient& client, const HttpRequest& request,
                                        std::size_t limit);

}  // namespace pyro
