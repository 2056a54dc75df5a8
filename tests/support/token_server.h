// An https token server whose signed tokens docker-registry really checks.
#pragma once

#include <chrono>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "support/certificates.h"
#include "support/http_server.h"

namespace pyro::testing {

struct TokenServerOptions {
  std::string service = "pyro-test-registry";
  std::string issuer = "pyro-test-tokens";
  std::string user = "user";
  std::string password = "secret";
  std::string identity_token = {};  ///< Posted (OAuth2), it is the user; empty: none is.
  bool anonymous_pull = true;       ///< Without credentials: tokens for pull alone; else 401.
  /// docker-registry 2.8 still takes a token 60 s after its end, so -58 s makes tokens that are
  /// good for two more seconds.
  std::chrono::seconds lifetime{300};
};

/// Listens on another port of "localhost" than the registry. Its tokens are ES256 with the
/// certificate chain in their header ("x5c").
class TokenServer {
 public:
  TokenServer(const CertificateAuthority& authority, const TokenServerOptions& options = {});

  /// For RealRegistryOptions::realm.
  std::string realm() const { return server_.url() + "/token"; }
  /// For RealRegistryOptions::token_certificates.
  std::filesystem::path root_certificates() const { return roots_; }

  /// A token for everything in the scopes ("repository:NAME:pull,push"), without asking.
  std::string token(const std::vector<std::string>& scopes) const;

  std::vector<HttpRequest> requests() const;

 private:
  HttpResponse answer(const HttpRequest& request);
  bool has_identity(const HttpRequest& request) const;
  std::string signed_token(const std::vector<std::string>& scopes, bool may_push,
                           const std::string& subject) const;

  TokenServerOptions options_;
  KeyPair signer_;
  std::filesystem::path roots_;
  mutable std::mutex mutex_;
  std::vector<HttpRequest> requests_;
  HttpServer server_;  // last: it ends before what its handler uses
};

}  // namespace pyro::testing
