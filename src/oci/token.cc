// A bearer token, fetched from the server that a registry's challenge names.
#include "oci/token.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/ascii.h"
#include "base/strict_json.h"
#include "net/redirects.h"
#include "net/retry.h"
#include "net/web_page.h"
#include "oci/registry_error.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxTokenAnswer = std::size_t{128} << 10;

constexpr int kBadRequest = 400;  // what OAuth2 says of a token that is none (RFC 6749 section 5.2)

void add_parameter(std::string& query, const char* name, std::string_view value) {
  if (value.empty()) return;
  query += query.empty() ? '?' : '&';
  query += name + ("=" + percent_encode(value));
}

void add_field(std::string& form, const char* name, std::string_view value) {
  if (value.empty()) return;
  form += (form.empty() ? "" : "&") + (name + ("=" + percent_encode(value)));
}

std::vector<std::string_view> entries_of(std::string_view scope) {
  std::vector<std::string_view> entries;
  for (std::string_view rest = trim(scope); !rest.empty();) {
    entries.push_back(rest.substr(0, rest.find(' ')));
    rest = trim(rest.substr(entries.back().size()));
  }
  return entries;
}

/// `token`, or `access_token` where that is missing or empty; the specification allows both.
std::string parse_token(const std::string& body) {
  const nlohmann::json answer = parse_strict_json(body, ErrorCode::network);
  for (const char* name : {"token", "access_token"}) {
    if (!answer.is_object()) break;
    const auto token = answer.find(name);
    if (token != answer.end() && token->is_string() &&
        !token->get_ref<const std::string&>().empty())
      return token->get<std::string>();
  }
  throw Error(ErrorCode::network, "the answer has no token");
}

/// A line break in a token would be the end of our header and the beginning of somebody else's.
void check_token(const std::string& token) {
  if (!std::ranges::all_of(token, is_graphic)) {
    throw Error(ErrorCode::network, "the token has characters that no token may have");
  }
}

[[noreturn]] void throw_token_refusal(const HttpResponse& response) {
  const Error error(ErrorCode::network, "it answered " + describe_answer(response));
  if (response.status == 401 || response.status == 403) throw LoginRefused(error);
  throw_refusal(error, response);
}

void refuse_page(const HttpResponse& response) {
  refuse_web_page(response, "as a token server");
}

HttpResponse ask_with_password(HttpClient& http, const TokenRequest& request) {
  HttpRequest get{.url = token_url(request),
                  .on_head = refuse_page,
                  .public_peers_only = request.public_peers_only,
                  .insecure = request.insecure};
  if (request.credentials) {
    get.headers.add("Authorization", basic_authorization(*request.credentials));
  }
  return follow_small(http, get, kMaxTokenAnswer);
}

HttpResponse ask_with_identity_token(HttpClient& http, const TokenRequest& request) {
  const HttpRequest post{.url = request.realm.to_string(),
                         .on_head = refuse_page,
                         .public_peers_only = request.public_peers_only,
                         .form = token_form(request)};
  try {
    HttpResponse response = follow_small(http, post, kMaxTokenAnswer);
    if (response.status != kBadRequest) return response;
    throw LoginRefused(Error(ErrorCode::network, "it answered " + describe_answer(response)));
  } catch (const TransientError& error) {
    throw Error(error);  // It may have arrived: not to be sent again unasked.
  }
}

std::string get_token(HttpClient& http, const TokenRequest& request) {
  const bool has_identity = request.credentials && !request.credentials->identity_token.empty();
  const HttpResponse response =
      has_identity ? ask_with_identity_token(http, request) : ask_with_password(http, request);
  if (!response.ok()) throw_token_refusal(response);
  std::string token = parse_token(response.body);
  check_token(token);
  return token;
}

}  // namespace

std::string token_url(const TokenRequest& request) {
  Url url = request.realm;
  add_parameter(url.query, "service", request.service);
  for (const std::string_view entry : entries_of(request.scope)) {
    add_parameter(url.query, "scope", entry);
  }
  return url.to_string();
}

std::string token_form(const TokenRequest& request) {
  std::string form;
  add_field(form, "grant_type", "refresh_token");
  add_field(form, "service", request.service);
  add_field(form, "client_id", "pyro");
  std::string scope;
  for (const std::string_view entry : entries_of(request.scope)) {
    scope += (scope.empty() ? "" : " ") + std::string(entry);
  }
  add_field(form, "scope", scope);
  add_field(form, "refresh_token", request.credentials->identity_token);
  return form;
}

std::string fetch_token(HttpClient& http, const TokenRequest& request) {
  try {
    return get_token(http, request);
  } catch (Error& error) {
    if (error.code() != ErrorCode::interrupted) {
      error.add_context("cannot get a token from " + request.realm.authority());
    }
    throw;
  }
}

}  // namespace pyro
