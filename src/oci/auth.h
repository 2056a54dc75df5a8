// How to be let in by one registry: reacts to its 401, and decides where credentials may go.
//
// Source: spec section 6 "Auth"; RFC 9110 section 11; CVE-2020-15157 for what happens to those who
// send a password to whichever realm asks for it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/http.h"
#include "net/url.h"
#include "oci/challenge.h"
#include "oci/credentials.h"
#include "pyro/network_options.h"

namespace pyro {

/// Whether `registry`'s credentials may be sent to `realm`: over https, and to the same host on any
/// port, to the registry's known companion, or to one of `trusted_realms`.
[[nodiscard]] bool may_receive_credentials(const Url& realm, const Url& registry,
                                           const std::vector<std::string>& trusted_realms);

class Authenticator {
 public:
  /// What is to be opened: a repository, or where that is empty, the registry itself.
  struct Door {
    std::string registry;
    std::string repository = {};
    /// The user says that nobody need check who answers under the registry's name.
    bool insecure = false;
  };

  /// `http` must outlive it. Credentials are looked for when first asked for a login.
  Authenticator(HttpClient& http, Door door, const NetworkOptions& options,
                CredentialSources sources);
  /// With these credentials and no others.
  Authenticator(HttpClient& http, Door door, const NetworkOptions& options,
                const Credentials& credentials);

  /// Adds what was found out so far.
  void authorize(HttpRequest& request) const;

  /// Finds out how to answer the challenges of `response`, a 401 of `registry` itself.
  /// @throws Error(network) when that cannot or must not be done; (failed) for credentials that
  /// cannot be read.
  void answer(const HttpResponse& response, const Url& registry);

  /// What to say of a 401 that came although answer() had done its best.
  [[nodiscard]] Error refusal(const HttpResponse& response) const;

  /// Whether credentials are among what opened the door; none ever are over plain http.
  [[nodiscard]] bool sent_credentials() const noexcept { return sent_credentials_; }

 private:
  void answer_bearer(const Challenge& challenge, const Url& registry, bool is_public);
  void answer_basic(const Url& registry);
  [[nodiscard]] Url check_realm(const Challenge& challenge, const Url& registry) const;
  [[nodiscard]] std::string refusal_text() const;
  [[nodiscard]] std::string login_hint() const;

  HttpClient& http_;
  Door door_;
  std::vector<std::string> trusted_realms_;
  CredentialSources sources_;
  std::optional<CredentialLookup> lookup_;  ///< Made when first asked for a login.
  bool sent_credentials_ = false;
  std::string authorization_;
};

}  // namespace pyro
