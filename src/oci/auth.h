// Authentication at one registry: answers its 401, and decides where credentials may go.
//
// Source: RFC 9110 section 11; the distribution project's token authentication specification
// (docs/spec/auth/token.md) and the one for OAuth2 (oauth.md); RFC 6749 section 6; CVE-2020-15157
// for clients that send a password to any realm that asks for it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/http.h"
#include "net/url.h"
#include "oci/challenge.h"
#include "oci/credentials.h"
#include "pyro/error.h"
#include "pyro/network_options.h"

namespace pyro {

/// A request to a token server.
struct TokenRequest {
  Url realm;
  std::string service = {};  ///< Left out when empty.
  std::string scope = {};    ///< Entries separated by spaces, sent as one parameter each.
  /// To be set only when the realm may have them. A password is sent with a GET, an identity token
  /// in a form.
  std::optional<Credentials> credentials = {};
  /// See HttpRequest.
  bool public_peers_only = false;
  bool insecure = false;
};

/// The realm, its query extended by service and scope.
[[nodiscard]] std::string token_url(const TokenRequest& request);

/// The form that requests a token with request.credentials->identity_token. A secret.
[[nodiscard]] std::string token_form(const TokenRequest& request);

/// The token server asks for credentials, or for others.
class LoginRefused : public Error {
 public:
  explicit LoginRefused(const Error& error) : Error(error) {}
};

/// @throws LoginRefused; Error(network) for all other failures; both name the token server.
[[nodiscard]] std::string fetch_token(HttpClient& http, const TokenRequest& request);

/// Whether the credentials of `registry` may be sent to `realm`: over https, to the same host on
/// any port, to the known token server of the registry, or to one of `trusted_realms`.
[[nodiscard]] bool may_receive_credentials(const Url& realm, const Url& registry,
                                           const std::vector<std::string>& trusted_realms);

class Authenticator {
 public:
  /// A repository, or the registry itself when that is empty.
  struct Target {
    std::string registry;
    std::string repository = {};
    /// Skip TLS verification (registries.conf: insecure = true).
    bool insecure = false;
  };

  /// `http` must outlive it. Looks for credentials when the registry first asks for a login.
  Authenticator(HttpClient& http, Target target, const NetworkOptions& options,
                CredentialSources sources);
  /// With these credentials only.
  Authenticator(HttpClient& http, Target target, const NetworkOptions& options,
                const Credentials& credentials);

  /// Adds an Authorization header, once there was a challenge. Sends nothing.
  void add_authorization(HttpRequest& request) const;

  /// Looks for credentials, and gets a token where one is wanted, for the challenges of `response`,
  /// a 401 of `registry` itself. add_authorization() then adds the answer.
  /// @throws Error(network) when that is impossible or not allowed; (failed) for credentials that
  /// cannot be read.
  void respond_to_challenge(const HttpResponse& response, const Url& registry);

  /// The error for a 401 after respond_to_challenge().
  [[nodiscard]] Error refusal(const HttpResponse& response) const;

  /// Whether credentials were sent; none ever are over plain http.
  [[nodiscard]] bool sent_credentials() const noexcept { return sent_credentials_; }

 private:
  void answer_bearer(const Challenge& challenge, const Url& registry, bool is_public);
  void answer_basic(const Url& registry);
  [[nodiscard]] Url check_realm(const Challenge& challenge, const Url& registry) const;
  [[nodiscard]] std::string refusal_text() const;
  [[nodiscard]] std::string login_hint() const;

  HttpClient& http_;
  Target target_;
  std::vector<std::string> trusted_realms_;
  CredentialSources sources_;
  std::optional<CredentialLookup> lookup_;  // made at the first challenge
  bool sent_credentials_ = false;
  std::string authorization_;
};

}  // namespace pyro
