// Who may read from the fake registry: its challenges, its tokens, its token endpoint.
#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "support/http_message.h"

namespace pyro::testing {

struct AuthOptions {
  enum class Mode { open, basic, bearer };
  enum class TokenField { token, access_token, both, neither };

  Mode mode = Mode::open;
  std::string user = "user";
  std::string password = "secret";

  // Bearer only.
  std::string service = "fake-registry";
  /// Empty: the registry's own /token. FakeRegistry::token_realm() is on another port.
  std::string realm = {};
  bool anonymous = true;  ///< Tokens are given without credentials, too.
  TokenField token_field = TokenField::token;
  std::string identity_token = {};         ///< Posted, it buys tokens too; empty: none does.
  std::optional<int> expires_in = {};      ///< Sent in the answer, without effect.
  std::optional<int> uses_per_token = {};  ///< Then the token is refused as expired.
  std::chrono::milliseconds valid_for{std::chrono::hours(1)};
};

/// The value of an "Authorization: Basic" header.
std::string basic_authorization(const std::string& user, const std::string& password);

/// Thread-safe.
class RegistryAuth {
 public:
  void set(AuthOptions options);

  /// std::nullopt when the request may pass; else the 401 with the challenge. `repository` is
  /// empty for the ping. `own_url` is where the token endpoint is unless the options say it.
  std::optional<HttpResponse> refuse(const HttpRequest& request, const std::string& repository,
                                     const std::string& own_url);

  /// Answers the token endpoint.
  HttpResponse issue_token(const HttpRequest& request);

 private:
  struct Token {
    std::string scope;
    std::chrono::steady_clock::time_point expires;
    int uses = 0;
  };

  bool is_right_login(const HttpRequest& request) const;
  bool is_right_form(const HttpRequest& request) const;
  bool spend_token(const std::string& text, const std::string& repository);
  HttpResponse challenge(const std::string& repository, const std::string& own_url,
                         bool had_token) const;

  std::mutex mutex_;
  AuthOptions options_;
  std::map<std::string, Token> tokens_;
};

}  // namespace pyro::testing
