// Redirects, followed by hand: where a request may go, and which headers may go along.
//
// Source: spec section 6 "Redirects"; RFC 9110 section 15.4; notes on CVE-2020-15157 and its kin in
// the distribution specification ("MUST NOT forward Authorization across hosts").
#pragma once

#include <cstddef>

#include "net/http.h"

namespace pyro {

inline constexpr int kMaxRedirects = 10;

/// client.get() through at most kMaxRedirects of 301, 302, 303, 307 and 308.
///
/// Authorization and Cookie are dropped when the origin (scheme, host, port) changes, and stay away
/// for the rest of the chain. Never from https to http, nor from plain http on this machine to
/// plain http elsewhere; nor from an address that is everybody's into this machine's own network,
/// where its name may lead. User info in request.url becomes an Authorization header (https only);
/// in a Location it is ignored. A form goes nowhere else: a redirect is then a failure.
/// @throws Error(network) naming the host that redirected; what client.get() throws.
HttpResponse follow(HttpClient& client, const HttpRequest& request, const BodySink& sink);

/// follow() with the body of a 2xx, at most `limit` bytes of it, in the response.
[[nodiscard]] HttpResponse follow_small(HttpClient& client, const HttpRequest& request,
                                        std::size_t limit);

}  // namespace pyro
