// Authentication at one registry.
#include "oci/auth.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/reference.h"
#include "base/strict_json.h"
#include "base/text.h"
#include "net/http.h"
#include "net/redirects.h"
#include "net/retry.h"
#include "oci/registry_error.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxTokenAnswer = std::size_t{128} << 10;

constexpr int kBadRequest = 400;  // OAuth2: an invalid token (RFC 6749 section 5.2)

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

/// A line break in a token would end our header and begin another one.
void check_token(const std::string& token) {
  if (!std::ranges::all_of(token, is_graphic)) {
    throw Error(ErrorCode::network, "the token has characters that no token may have");
  }
}

[[noreturn]] void throw_token_refusal(const HttpResponse& response) {
  const Error error(ErrorCode::network, "it answered " + describe_answer(response));
  if (response.status == 401 || response.status == 403) throw LoginRefused(error);
  throw_by_status(error, response);
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
    throw Error(error);  // the form may have arrived: no retry
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

struct Companion {
  std::string_view registry;
  std::string_view realm;
};

// The token servers of ghcr.io and quay.io are on the registry's own host.
constexpr std::array<Companion, 2> kCompanions = {{
    {"registry-1.docker.io", "auth.docker.io"},
    {"registry.gitlab.com", "gitlab.com"},
}};

bool is_companion(std::string_view registry, std::string_view realm) {
  return std::ranges::any_of(kCompanions, [&](const Companion& companion) {
    return companion.registry == registry && companion.realm == realm;
  });
}

const Challenge* find_scheme(const std::vector<Challenge>& challenges, std::string_view scheme) {
  const auto found = std::ranges::find(challenges, scheme, &Challenge::scheme);
  return found == challenges.end() ? nullptr : &*found;
}

std::string parameter(const Challenge& challenge, const char* name) {
  const auto found = challenge.parameters.find(name);
  return found == challenge.parameters.end() ? std::string() : found->second;
}

std::string list_schemes(const std::vector<Challenge>& challenges) {
  std::string list;
  for (const Challenge& challenge : challenges) list += " " + challenge.scheme;
  return list;
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

bool may_receive_credentials(const Url& realm, const Url& registry,
                             const std::vector<std::string>& trusted_realms) {
  if (realm.scheme != "https" || registry.scheme != "https") return false;
  return realm.host == registry.host || is_companion(registry.host, realm.host) ||
         std::ranges::any_of(trusted_realms, [&](const std::string& trusted) {
           return to_lower(trusted) == realm.host || to_lower(trusted) == realm.authority();
         });
}

Authenticator::Authenticator(HttpClient& http, Target target, const NetworkOptions& options,
                             CredentialSources sources)
    : http_(http),
      target_(std::move(target)),
      trusted_realms_(options.trusted_realms),
      sources_(std::move(sources)) {}

Authenticator::Authenticator(HttpClient& http, Target target, const NetworkOptions& options,
                             const Credentials& credentials)
    : Authenticator(http, std::move(target), options, CredentialSources{}) {
  lookup_ = CredentialLookup{.credentials = credentials};
}

void Authenticator::add_authorization(HttpRequest& request) const {
  if (!authorization_.empty()) request.headers.add("Authorization", authorization_);
}

void Authenticator::respond_to_challenge(const HttpResponse& response, const Url& registry) {
  authorization_.clear();  // it was refused
  if (!lookup_) lookup_ = find_credentials(sources_, target_.registry, target_.repository);
  const auto challenges = parse_challenges(response.headers.get_all("WWW-Authenticate"));
  if (const Challenge* const bearer = find_scheme(challenges, "bearer")) {
    answer_bearer(*bearer, registry, response.from_public_peer);
  } else if (find_scheme(challenges, "basic") != nullptr) {
    answer_basic(registry);
  } else if (challenges.empty()) {
    throw Error(ErrorCode::network, "the registry answered 401 without saying how to log in");
  } else {
    throw Error(ErrorCode::network,
                "the registry offers no supported way to log in:" + list_schemes(challenges));
  }
}

void Authenticator::answer_bearer(const Challenge& challenge, const Url& registry, bool is_public) {
  // Requests the right to pull only, whatever the challenge names: a registry must not get a token
  // with more rights for the user's credentials.
  const std::string scope = target_.repository.empty()
                                ? parameter(challenge, "scope")
                                : "repository:" + target_.repository + ":pull";
  TokenRequest request{.realm = check_realm(challenge, registry),
                       .service = parameter(challenge, "service"),
                       .scope = scope};
  // Over plain http all is anonymous: a token would be sent in the clear like a password.
  if (registry.scheme == "https") request.credentials = lookup_->credentials;
  sent_credentials_ = request.credentials.has_value();
  request.public_peers_only = is_public && !same_origin(request.realm, registry);
  request.insecure = target_.insecure && request.realm.host == registry.host;
  try {
    authorization_ = "Bearer " + fetch_token(http_, request);
  } catch (LoginRefused& error) {
    error.add_context(refusal_text());
    error.add_hint(login_hint());
    throw;
  }
}

Url Authenticator::check_realm(const Challenge& challenge, const Url& registry) const {
  const auto realm = Url::parse(parameter(challenge, "realm"));
  if (!realm) {
    throw Error(ErrorCode::network, "the registry names a token server that is not a URL");
  }
  const bool may_be_plain =
      registry.scheme == "http" &&
      (is_loopback(realm->host) || (target_.insecure && realm->host == registry.host));
  if (realm->scheme != "https" && !may_be_plain) {
    throw Error(ErrorCode::network,
                "the registry names a token server without TLS, " + realm->authority());
  }
  if (lookup_->credentials && registry.scheme == "https" &&
      !may_receive_credentials(*realm, registry, trusted_realms_)) {
    throw Error(ErrorCode::network,
                "the registry " + target_.registry + " wants its credentials to be sent to " +
                    realm->authority(),
                "if you trust that host with them, add --trust-realm " + realm->host);
  }
  return *realm;
}

void Authenticator::answer_basic(const Url& registry) {
  if (registry.scheme != "https") {
    throw Error(ErrorCode::network,
                "the registry asks for a password over plain http, where none is ever sent",
                "let the registry speak TLS");
  }
  if (!lookup_->credentials) {
    throw Error(ErrorCode::network, "the registry asks for a login", login_hint());
  }
  if (!lookup_->credentials->identity_token.empty()) {
    throw Error(ErrorCode::network,
                "the registry asks for a password, and there is an identity token for it",
                login_hint());
  }
  sent_credentials_ = true;
  authorization_ = basic_authorization(*lookup_->credentials);
}

Error Authenticator::refusal(const HttpResponse& response) const {
  Error error(ErrorCode::network, "the registry answered " + describe_answer(response),
              login_hint());
  error.add_context(refusal_text());
  return error;
}

// Registries do not say to anonymous clients whether a repository exists.
std::string Authenticator::refusal_text() const {
  if (sent_credentials_) return "the registry refused the credentials";
  return "login needed, or there is no " + target_.repository + " in " + target_.registry;
}

std::string Authenticator::login_hint() const {
  if (lookup_ && lookup_->credentials) {
    if (lookup_->origin.empty()) return "check the user name and the password";
    return "the credentials came from " + lookup_->origin;
  }
  const std::string login = "`pyro registry login " + target_.registry + "` stores some";
  std::string files;
  if (lookup_) {
    for (const std::filesystem::path& file : lookup_->searched) {
      files += (files.empty() ? "" : " or ") + file.string();
    }
  }
  if (files.empty()) return "no file with credentials was found; " + login;
  return "there are no credentials for " + target_.registry + " in " + files + "; " + login;
}

}  // namespace pyro
