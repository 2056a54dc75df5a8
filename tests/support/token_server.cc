// An https token server whose signed tokens docker-registry really checks.
#include "support/token_server.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/hash.h"
#include "support/json_web_token.h"
#include "support/registry_auth.h"

namespace pyro::testing {
namespace {

using nlohmann::json;

LeafOptions leaf(const std::string& file_name) {
  LeafOptions options;
  options.file_name = file_name;
  return options;
}

// "repository:NAME:pull,push" as an access claim; names may hold colons (a host's port).
json access_claim(const std::string& scope, bool may_push) {
  const std::size_t first = scope.find(':');
  const std::size_t last = scope.rfind(':');
  if (first == std::string::npos || first == last) return nullptr;
  json actions = json::array();
  std::istringstream wanted(scope.substr(last + 1));
  for (std::string action; std::getline(wanted, action, ',');) {
    if (action == "pull" || may_push) actions.push_back(action);
  }
  return {{"type", scope.substr(0, first)},
          {"name", scope.substr(first + 1, last - first - 1)},
          {"actions", actions}};
}

std::vector<std::string> scopes_of(const HttpRequest& request) {
  std::vector<std::string> scopes;
  for (const std::string& value : request.parameters("scope")) {
    std::istringstream words(value);
    for (std::string scope; words >> scope;) scopes.push_back(scope);
  }
  return scopes;
}

}  // namespace

TokenServer::TokenServer(const CertificateAuthority& authority, const TokenServerOptions& options)
    : options_(options),
      signer_(authority.issue(leaf("token-signer"))),
      roots_(authority.certificate_file()),
      server_({.tls = authority.issue(leaf("token-server"))},
              [this](const HttpRequest& request) { return answer(request); }) {}

std::vector<HttpRequest> TokenServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

std::string TokenServer::token(const std::vector<std::string>& scopes) const {
  return signed_token(scopes, true, options_.user);
}

HttpResponse TokenServer::answer(const HttpRequest& request) {
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  const bool is_form = request.method == "POST";
  const auto given = request.header("Authorization");
  const bool right = is_form ? has_identity(request)
                             : given == basic_authorization(options_.user, options_.password);
  const bool service_known = request.parameter("service") == options_.service;
  if (!service_known) return {.status = 400, .body = "unknown service\n"};
  if (is_form || given ? !right : !options_.anonymous_pull) {
    return {.status = is_form ? 400 : 401, .body = "who are you?\n"};
  }
  const json body{{is_form ? "access_token" : "token",
                   signed_token(scopes_of(request), right, right ? options_.user : "")},
                  {"expires_in", options_.lifetime.count()}};
  return {.headers = {{"Content-Type", "application/json"}}, .body = body.dump()};
}

bool TokenServer::has_identity(const HttpRequest& request) const {
  return !options_.identity_token.empty() && request.parameter("grant_type") == "refresh_token" &&
         request.parameter("client_id").has_value() &&
         request.parameter("refresh_token") == options_.identity_token;
}

std::string TokenServer::signed_token(const std::vector<std::string>& scopes, bool may_push,
                                      const std::string& subject) const {
  json access = json::array();
  for (const std::string& scope : scopes) {
    json claim = access_claim(scope, may_push);
    if (!claim.is_null()) access.push_back(std::move(claim));
  }
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(
      std::chrono::system_clock::now().time_since_epoch());
  const auto begin =
      now + std::min(options_.lifetime, std::chrono::seconds(0)) - std::chrono::seconds(10);
  return sign_token({{"iss", options_.issuer},
                     {"aud", options_.service},
                     {"sub", subject},
                     {"iat", begin.count()},
                     {"nbf", begin.count()},
                     {"exp", (now + options_.lifetime).count()},
                     {"jti", hex(noise(8, static_cast<std::uint64_t>(now.count())))},
                     {"access", access}},
                    signer_);
}

}  // namespace pyro::testing
