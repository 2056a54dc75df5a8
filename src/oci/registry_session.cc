// Requests to one repository of one registry.
#include "oci/registry_session.h"

#include <utility>

#include "base/oci_names.h"
#include "net/redirects.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxPingAnswer = std::size_t{64} << 10;

Url base_url(const std::string& registry) {
  const auto url = Url::parse("https://" + registry);
  if (!url) throw Error(ErrorCode::failed, "not a registry: " + registry);
  return *url;
}

}  // namespace

RegistrySession::RegistrySession(HttpClient& http, const ImageReference& image,
                                 const NetworkOptions& options, CredentialSources sources)
    : http_(http),
      base_path_("/v2/" + image.repository() + "/"),
      registry_(base_url(image.registry())),
      auth_(http, {image.registry(), image.repository()}, options, std::move(sources)) {}

RegistrySession::RegistrySession(HttpClient& http, const std::string& registry,
                                 const NetworkOptions& options, const Credentials& credentials)
    : http_(http),
      base_path_("/v2/"),
      registry_(base_url(registry)),
      auth_(http, {.registry = registry, .repository = {}}, options, credentials) {}

HttpResponse RegistrySession::get(const std::string& path, HttpRequest request,
                                  const BodySink& sink) {
  HttpResponse response = send(path, request, sink);
  // A 401 from where a redirect led is not the registry's, and gets no credentials of its.
  if (response.status != 401 || !is_own(response)) return response;
  auth_.answer(ask_for_challenge(std::move(response)), registry_);
  response = send(path, std::move(request), sink);
  if (response.status == 401 && is_own(response)) throw auth_.refusal(response);
  return response;
}

HttpResponse RegistrySession::send(const std::string& path, HttpRequest request,
                                   const BodySink& sink) {
  if (!std::exchange(scheme_decided_, true)) return send_first(path, request, sink);
  Url url = registry_;
  url.path = base_path_ + path;
  request.url = url.to_string();
  auth_.authorize(request);
  return follow(http_, request, sink);
}

// Only a peer that does not speak TLS at all is talked to without, and only on this machine. A
// certificate that is not trusted never leads here.
HttpResponse RegistrySession::send_first(const std::string& path, const HttpRequest& request,
                                         const BodySink& sink) {
  try {
    return send(path, request, sink);
  } catch (NotTlsError& error) {
    if (!is_loopback(registry_.host)) {
      error.add_hint("plain http is used with registries on this machine only");
      throw;
    }
  }
  registry_.scheme = "http";
  return send(path, request, sink);
}

bool RegistrySession::is_own(const HttpResponse& response) const {
  const auto url = Url::parse(response.url);
  return url && same_origin(*url, registry_);
}

/// Some registries give their challenge on the ping alone.
HttpResponse RegistrySession::ask_for_challenge(HttpResponse response) {
  if (response.headers.get("WWW-Authenticate")) return response;
  Url ping = registry_;
  ping.path = "/v2/";
  HttpResponse answer = follow_small(http_, {ping.to_string()}, kMaxPingAnswer);
  return answer.status == 401 && is_own(answer) ? answer : response;
}

std::string RegistrySession::speaker(const HttpResponse& response) const {
  const auto url = Url::parse(response.url);
  if (!url || is_own(response)) return "the registry";
  return url->authority() + ", where the registry redirects to,";
}

}  // namespace pyro
