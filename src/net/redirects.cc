// Redirects: where a request may be sent, and which headers are sent along.
#include "net/redirects.h"

#include "base/reference.h"
#include "base/text.h"
#include "net/url.h"

namespace pyro {
namespace {

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Error refusal(const Url& from, const std::string& why) {
  return Error(ErrorCode::network, from.authority() + " " + why);
}

/// Parses the URL of the first hop. Its user info becomes a header, to which the rules on
/// Authorization apply.
Url begin(HttpRequest& hop) {
  const auto url = Url::parse(hop.url);
  if (!url) throw Error(ErrorCode::network, "not an http or https URL: " + redact(hop.url));
  if (!url->userinfo.empty()) {
    if (url->scheme != "https") throw refusal(*url, "is not sent a password over plain http");
    std::string login = percent_decode(url->userinfo);
    if (login.find(':') == std::string::npos) login += ':';
    hop.headers.add("Authorization", "Basic " + base64_encode(login));
  }
  hop.url = url->to_string();
  return *url;
}

/// Plain http is for this machine, or for a chain that began with plain http to another machine.
void check_scheme(const Url& from, const Url& to) {
  if (to.scheme == "https") return;
  if (from.scheme == "https") {
    throw refusal(from, "redirects from https to plain http, at " + to.authority())
        .add_hint("a captive portal, or a proxy that wants a login first, does so");
  }
  if (is_loopback(from.host) && !is_loopback(to.host)) {
    throw refusal(from, "redirects to plain http on another machine, " + to.authority());
  }
}

Url target(const Url& from, const HttpResponse& response) {
  const auto location = response.headers.get("Location");
  if (!location) {
    throw refusal(from, "answered " + std::to_string(response.status) + " without a Location");
  }
  const auto to = resolve(from, trim(*location));
  if (!to) throw refusal(from, "redirects to something other than an http or https URL");
  check_scheme(from, *to);
  return *to;
}

HttpResponse get_later_hop(HttpClient& client, const HttpRequest& hop, const BodySink& sink) {
  try {
    return client.get(hop, sink);
  } catch (const NotTlsError& error) {
    // The caller tries plain http with the host that it named only, not with the target of a
    // redirect.
    throw Error(error);
  }
}

}  // namespace

HttpResponse follow(HttpClient& client, const HttpRequest& request, const BodySink& sink) {
  HttpRequest hop = request;
  Url url = begin(hop);
  HttpResponse response = client.get(hop, sink);
  const bool is_public = response.from_public_peer;
  for (int redirects = 0; is_redirect(response.status); ++redirects) {
    if (!hop.form.empty()) throw refusal(url, "redirects a login, which may go to no other host");
    if (redirects == kMaxRedirects) throw refusal(url, "redirects without end");
    const Url next = target(url, response);
    if (!same_origin(url, next)) {
      hop.headers.remove("Authorization");
      hop.headers.remove("Cookie");
      hop.insecure = false;
      hop.public_peers_only = hop.public_peers_only || is_public;
    }
    url = next;
    hop.url = url.to_string();
    response = get_later_hop(client, hop, sink);
  }
  response.url = hop.url;
  return response;
}

HttpResponse follow_small(HttpClient& client, const HttpRequest& request, std::size_t limit) {
  std::string body;
  HttpResponse response = follow(client, request, bounded_sink(body, limit));
  if (response.ok()) response.body = std::move(body);
  return response;
}

}  // namespace pyro
