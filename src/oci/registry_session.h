// Requests to one repository of one registry: over the right scheme, let in, redirects followed.
//
// Source: spec section 6 "Auth", "TLS", "Redirects".
#pragma once

#include <string>

#include "net/http.h"
#include "net/url.h"
#include "oci/auth.h"
#include "oci/endpoints.h"
#include "pyro/network_options.h"

namespace pyro {

class RegistrySession {
 public:
  /// `http` must outlive it.
  RegistrySession(HttpClient& http, const Endpoint& endpoint, const NetworkOptions& options,
                  CredentialSources sources);
  /// To the registry itself, with these credentials and no others; `door` has no repository.
  RegistrySession(HttpClient& http, const Authenticator::Door& door, const NetworkOptions& options,
                  const Credentials& credentials);

  /// GETs `path` below /v2/<repository>/, or below /v2/ of the registry itself; the URL in
  /// `request` is set here. A 401 is answered once per call, so a token that expires during a pull
  /// is renewed. Always begins at the registry, never at the target of an earlier redirect: those
  /// expire.
  /// @throws Error(network) for a second 401; else what follow() throws.
  HttpResponse get(const std::string& path, const HttpRequest& request, const BodySink& sink);

  /// Whether the registry, or its token server, has seen credentials.
  [[nodiscard]] bool sent_credentials() const noexcept { return auth_.sent_credentials(); }

  /// Who gave this answer, for messages: "the registry", "the mirror HOST", or the host that it
  /// redirected to.
  [[nodiscard]] std::string speaker(const HttpResponse& response) const;

 private:
  HttpResponse send(const std::string& path, const HttpRequest& request, const BodySink& sink);
  HttpResponse send_first(const std::string& path, const HttpRequest& request,
                          const BodySink& sink);
  HttpResponse send_there(const std::string& path, HttpRequest request, const BodySink& sink);
  void aim(HttpRequest& request, std::string path) const;
  [[nodiscard]] bool is_own(const HttpResponse& response) const;
  [[nodiscard]] HttpResponse ask_for_challenge(HttpResponse response);

  HttpClient& http_;
  std::string name_;
  std::string base_path_;
  bool insecure_ = false;
  bool is_mirror_ = false;
  std::string upstream_;
  Url registry_;
  bool scheme_decided_ = false;
  Authenticator auth_;
};

}  // namespace pyro
