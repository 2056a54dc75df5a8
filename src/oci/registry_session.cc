// Requests to one repository of one registry.
#include "oci/registry_session.h"

#include <utility>

#include "base/oci_names.h"
#include "net/redirects.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxPingAnswer = std::size_t{64} << 10;
constexpr std::uint16_t kHttpsPort = 443;
constexpr std::uint16_t kHttpPort = 80;

Url base_url(const std::string& registry) {
  const auto url = Url::parse("https://" + registry);
  if (!url) throw Error(ErrorCode::failed, "not a registry: " + registry);
  return *url;
}

}  // namespace

RegistrySession::RegistrySession(HttpClient& http, const Endpoint& endpoint,
                                 const NetworkOptions& options, CredentialSources sources)
    : http_(http),
      name_(endpoint.image.registry()),
      base_path_("/v2/" + endpoint.image.repository() + "/"),
      insecure_(endpoint.insecure),
      is_mirror_(endpoint.is_mirror),
      upstream_(endpoint.upstream),
      registry_(base_url(name_)),
      auth_(http, {name_, endpoint.image.repository(), insecure_}, options, std::move(sources)) {}

RegistrySession::RegistrySession(HttpClient& http, const Authenticator::Door& door,
                                 const NetworkOptions& options, const Credentials& credentials)
    : http_(http),
      name_(door.registry),
      base_path_("/v2/"),
      insecure_(door.insecure),
      registry_(base_url(name_)),
      auth_(http, door, options, credentials) {}

HttpResponse RegistrySession::get(const std::string& path, const HttpRequest& request,
                                  const BodySink& sink) {
  HttpResponse response = send(path, request, sink);
  // A 401 from where a redirect led is not the registry's, and gets no credentials of its.
  if (response.status != 401 || !is_own(response)) return response;
  auth_.answer(ask_for_challenge(std::move(response)), registry_);
  response = send(path, request, sink);
  if (response.status == 401 && is_own(response)) throw auth_.refusal(response);
  return response;
}

HttpResponse RegistrySession::send(const std::string& path, const HttpRequest& request,
                                   const BodySink& sink) {
  if (scheme_decided_) return send_there(path, request, sink);
  const Url named = registry_;
  try {
    scheme_decided_ = true;
    return send_first(path, request, sink);
  } catch (const TransientError&) {
    // No answer came: what comes up during the retries may speak otherwise.
    scheme_decided_ = false;
    registry_ = named;
    throw;
  }
}

HttpResponse RegistrySession::send_there(const std::string& path, HttpRequest request,
                                         const BodySink& sink) {
  aim(request, base_path_ + path);
  auth_.authorize(request);
  return follow(http_, request, sink);
}

void RegistrySession::aim(HttpRequest& request, std::string path) const {
  Url url = registry_;
  url.path = std::move(path);
  if (!upstream_.empty()) url.query = "?ns=" + percent_encode(upstream_);
  request.url = url.to_string();
  request.insecure = insecure_;
  request.has_alternative = is_mirror_;
}

// Only a peer that does not speak TLS at all is talked to without, and only on this machine, or
// where the user says so. A certificate that is not trusted never leads here.
HttpResponse RegistrySession::send_first(const std::string& path, const HttpRequest& request,
                                         const BodySink& sink) {
  try {
    return send_there(path, request, sink);
  } catch (NotTlsError& error) {
    if (!is_loopback(registry_.host) && !insecure_) {
      error.add_hint(
          "plain http is used with registries on this machine only, and with those that "
          "registries.conf calls insecure");
      throw;
    }
  } catch (const TransientError&) {
    // Port 443 may be closed, and port 80 open.
    if (!insecure_ || registry_.port != kHttpsPort) throw;
    registry_.port = kHttpPort;
  }
  registry_.scheme = "http";
  return send_there(path, request, sink);
}

bool RegistrySession::is_own(const HttpResponse& response) const {
  const auto url = Url::parse(response.url);
  return url && same_origin(*url, registry_);
}

/// Some registries give their challenge on the ping alone.
HttpResponse RegistrySession::ask_for_challenge(HttpResponse response) {
  if (response.headers.get("WWW-Authenticate")) return response;
  HttpRequest ping;
  aim(ping, "/v2/");
  HttpResponse answer = follow_small(http_, ping, kMaxPingAnswer);
  return answer.status == 401 && is_own(answer) ? answer : response;
}

std::string RegistrySession::speaker(const HttpResponse& response) const {
  const auto url = Url::parse(response.url);
  std::string who = is_mirror_ ? "the mirror " + name_ : "the registry";
  if (!url || is_own(response)) return who;
  return url->authority() + ", where " + who + " redirects to,";
}

}  // namespace pyro
