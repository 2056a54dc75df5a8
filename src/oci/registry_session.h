// Requests to one repository of one registry: over the right scheme, let in, redirects followed.
//
// Source: spec section 6 "Auth", "TLS", "Redirects".
#pragma once

#include <string>

#include "net/http.h"
#include "net/url.h"
#include "oci/auth.h"
#include "oci/endpoints.h"
#include "pyro/environment_store.h"

namespace pyro {

class RegistrySession {
 public:
  /// `http` must outlive it.
  RegistrySession(HttpClient& http, const Endpoint& endpoint, const NetworkOptions& options);

  /// GETs `path` below /v2/<repository>/; the URL in `request` is set here. A 401 is answered once
  /// per call, so a token that expires during a pull is renewed. Always begins at the registry,
  /// never at the target of an earlier redirect: those expire.
  /// @throws Error(network) for a second 401; else what follow() throws.
  HttpResponse get(const std::string& path, HttpRequest request, const BodySink& sink);

  /// Who gave this answer, for messages: "the registry", "the mirror HOST", or the host that it
  /// redirected to.
  [[nodiscard]] std::string speaker(const HttpResponse& response) const;

 private:
  HttpResponse send(const std::string& path, HttpRequest request, const BodySink& sink);
  HttpResponse send_first(const std::string& path, const HttpRequest& request,
                          const BodySink& sink);
  HttpResponse send_to_port_80(const std::string& path, const HttpRequest& request,
                               const BodySink& sink);
  void aim(HttpRequest& request, std::string path) const;
  [[nodiscard]] bool is_own(const HttpResponse& response) const;
  [[nodiscard]] HttpResponse ask_for_challenge(HttpResponse response);

  HttpClient& http_;
  Endpoint endpoint_;
  Url registry_;
  bool scheme_decided_ = false;
  Authenticator auth_;
};

}  // namespace pyro
