// Requests to one registry or mirror: scheme, login, redirects.
//
// Source: OCI distribution specification, "Determining Support"; RFC 9110 section 11.
#pragma once

#include <string>
#include <string_view>

#include "base/reference.h"
#include "net/http.h"
#include "net/url.h"
#include "oci/auth.h"
#include "pyro/network_options.h"

namespace pyro {

/// A host that has an image, or may have it.
struct Endpoint {
  ImageReference image;  ///< Its name on that host.
  bool insecure = false;
  bool is_mirror = false;
  bool serves_tags = true;
  bool serves_digests = true;
  /// The registry that is mirrored, for mirrors of several: containerd's parameter `ns`.
  std::string upstream = {};
};

/// Requests to one repository on one host: finds the scheme, authenticates, follows redirects.
class RegistrySession {
 public:
  /// `http` must outlive it.
  RegistrySession(HttpClient& http, const Endpoint& endpoint, const NetworkOptions& options,
                  CredentialSources sources);
  /// To the registry itself, with these credentials only; `target` has no repository.
  RegistrySession(HttpClient& http, const Authenticator::Target& target,
                  const NetworkOptions& options, const Credentials& credentials);

  /// GETs `path` below /v2/<repository>/, or below /v2/ of the registry itself; sets the URL of
  /// `request`. Answers a 401 once per call, so that a token that expires during a pull is renewed.
  /// Always begins at the registry: the target of an earlier redirect may have expired.
  /// @throws Error(network) for a second 401; and exceptions of follow().
  HttpResponse get(const std::string& path, const HttpRequest& request, const BodySink& sink);

  /// Whether the registry, or its token server, has seen credentials.
  [[nodiscard]] bool sent_credentials() const noexcept { return auth_.sent_credentials(); }

  /// The sender of `response`, for messages: "the registry", "the mirror HOST", or the host that it
  /// redirected to.
  [[nodiscard]] std::string speaker(const HttpResponse& response) const;

 private:
  HttpResponse send(const std::string& path, const HttpRequest& request, const BodySink& sink);
  HttpResponse send_now(const std::string& path, HttpRequest request, const BodySink& sink);
  void set_target(HttpRequest& request, std::string path) const;
  [[nodiscard]] bool is_own(const HttpResponse& response) const;
  [[nodiscard]] HttpResponse ask_for_challenge(HttpResponse response);

  HttpClient& http_;
  std::string name_;
  std::string base_path_;
  bool insecure_ = false;
  bool is_mirror_ = false;
  std::string upstream_;
  Url registry_;
  bool is_scheme_known_ = false;
  Authenticator auth_;
};

}  // namespace pyro
