// Who may read from the fake registry: its challenges, its tokens, its token endpoint.
#include "support/registry_auth.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "support/hash.h"

namespace pyro::testing {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kBearer = "Bearer ";

HttpResponse error_response(int status, const std::string& code, const std::string& message) {
  const nlohmann::json body{{"errors", {{{"code", code}, {"message", message}}}}};
  return {.status = status,
          .headers = {{"Content-Type", "application/json; charset=utf-8"}},
          .body = body.dump() + "\n"};
}

}  // namespace

std::string basic_authorization(const std::string& user, const std::string& password) {
  return "Basic " + base64(fmt::format("{}:{}", user, password));
}

void RegistryAuth::set(AuthOptions options) {
  const std::lock_guard lock(mutex_);
  options_ = std::move(options);
  tokens_.clear();
}

std::optional<HttpResponse> RegistryAuth::refuse(const HttpRequest& request,
                                                 const std::string& repository,
                                                 const std::string& own_url) {
  const std::lock_guard lock(mutex_);
  const std::string given = request.header("Authorization").value_or("");
  switch (options_.mode) {
    case AuthOptions::Mode::open:
      return std::nullopt;
    case AuthOptions::Mode::basic:
      if (given == basic_authorization(options_.user, options_.password)) return std::nullopt;
      break;
    case AuthOptions::Mode::bearer:
      if (given.starts_with(kBearer) && spend_token(given.substr(kBearer.size()), repository)) {
        return std::nullopt;
      }
      break;
  }
  return challenge(repository, own_url, !given.empty());
}

bool RegistryAuth::spend_token(const std::string& text, const std::string& repository) {
  const auto token = tokens_.find(text);
  if (token == tokens_.end() || Clock::now() >= token->second.expires) return false;
  if (options_.uses_per_token && token->second.uses >= *options_.uses_per_token) return false;
  const std::string needed = fmt::format("repository:{}:pull", repository);
  if (!repository.empty() && token->second.scope.find(needed) == std::string::npos) return false;
  ++token->second.uses;
  return true;
}

HttpResponse RegistryAuth::challenge(const std::string& repository, const std::string& own_url,
                                     bool had_token) const {
  HttpResponse response = error_response(401, "UNAUTHORIZED", "authentication required");
  std::string text = R"(Basic realm="fake registry")";
  if (options_.mode == AuthOptions::Mode::bearer) {
    const std::string realm = options_.realm.empty() ? own_url + "/token" : options_.realm;
    text = fmt::format(R"(Bearer realm="{}",service="{}")", realm, options_.service);
    if (!repository.empty()) text += fmt::format(R"(,scope="repository:{}:pull")", repository);
    if (had_token) text += R"(,error="invalid_token")";
  }
  response.headers.emplace_back("WWW-Authenticate", text);
  return response;
}

bool RegistryAuth::is_right_login(const HttpRequest& request) const {
  const auto given = request.header("Authorization");
  return given ? given == basic_authorization(options_.user, options_.password)
               : options_.anonymous;
}

bool RegistryAuth::is_right_form(const HttpRequest& request) const {
  return !options_.identity_token.empty() && !request.header("Authorization") &&
         request.parameter("grant_type") == "refresh_token" &&
         request.parameter("service") == options_.service &&
         request.parameter("refresh_token") == options_.identity_token;
}

HttpResponse RegistryAuth::issue_token(const HttpRequest& request) {
  const std::lock_guard lock(mutex_);
  if (request.method == "POST" ? !is_right_form(request) : !is_right_login(request)) {
    return error_response(401, "UNAUTHORIZED", "wrong or missing credentials");
  }
  // Parts with base64's odd characters: clients must pass tokens on as they are.
  const std::string text = fmt::format("fake-token-{}.+/==", tokens_.size() + 1);
  std::string scope;
  for (const std::string& part : request.parameters("scope")) scope += part + " ";
  tokens_[text] = {scope, Clock::now() + options_.valid_for, 0};
  nlohmann::json body = nlohmann::json::object();
  using Field = AuthOptions::TokenField;
  const Field field = options_.token_field;
  if (field == Field::token || field == Field::both) body["token"] = text;
  if (field == Field::access_token || field == Field::both) body["access_token"] = text;
  if (options_.expires_in) body["expires_in"] = *options_.expires_in;
  return {.headers = {{"Content-Type", "application/json"}}, .body = body.dump()};
}

}  // namespace pyro::testing
