// A bearer token, fetched from the server that a registry's challenge names.
//
// Source: the distribution project's token authentication specification (docs/spec/auth/token.md),
// and the one for OAuth2 beside it (oauth.md); RFC 6749 section 6.
#pragma once

#include <optional>
#include <string>

#include "net/http.h"
#include "net/url.h"
#include "oci/credentials.h"
#include "pyro/error.h"

namespace pyro {

struct TokenRequest {
  Url realm;
  std::string service = {};  ///< Left out when empty.
  std::string scope = {};    ///< Entries separated by spaces, sent as one parameter each.
  /// Whoever fills this in has decided that the realm may have them. A password goes along with a
  /// GET, an identity token into a form of its own.
  std::optional<Credentials> credentials = {};
  /// See HttpRequest.
  bool public_peers_only = false;
};

/// The realm with its own query kept, and service and scope added.
[[nodiscard]] std::string token_url(const TokenRequest& request);

/// What buys a token with request.credentials->identity_token. A secret.
[[nodiscard]] std::string token_form(const TokenRequest& request);

/// The token server wants other credentials, or some.
class LoginRefused : public Error {
 public:
  explicit LoginRefused(const Error& error) : Error(error) {}
};

/// @throws LoginRefused; Error(network) for all else that goes wrong; both name the token server.
[[nodiscard]] std::string fetch_token(HttpClient& http, const TokenRequest& request);

}  // namespace pyro
