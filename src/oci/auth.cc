// How to be let in by one registry.
#include "oci/auth.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/oci_names.h"
#include "oci/registry_error.h"
#include "oci/token.h"

namespace pyro {
namespace {

struct Companion {
  std::string_view registry;
  std::string_view realm;
};

// GitHub's (ghcr.io) and Quay's (quay.io) token servers are on the registry's own host.
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

bool may_receive_credentials(const Url& realm, const Url& registry,
                             const std::vector<std::string>& trusted_realms) {
  if (realm.scheme != "https" || registry.scheme != "https") return false;
  return realm.host == registry.host || is_companion(registry.host, realm.host) ||
         std::ranges::any_of(trusted_realms, [&](const std::string& trusted) {
           return to_lower(trusted) == realm.host || to_lower(trusted) == realm.authority();
         });
}

Authenticator::Authenticator(HttpClient& http, Door door, const NetworkOptions& options,
                             CredentialSources sources)
    : http_(http),
      door_(std::move(door)),
      trusted_realms_(options.trusted_realms),
      sources_(std::move(sources)) {}

Authenticator::Authenticator(HttpClient& http, Door door, const NetworkOptions& options,
                             const Credentials& credentials)
    : Authenticator(http, std::move(door), options, CredentialSources{}) {
  lookup_ = CredentialLookup{.credentials = credentials};
}

void Authenticator::authorize(HttpRequest& request) const {
  if (!authorization_.empty()) request.headers.add("Authorization", authorization_);
}

void Authenticator::answer(const HttpResponse& response, const Url& registry) {
  authorization_.clear();  // Whatever it was, it did not help.
  if (!lookup_) lookup_ = find_credentials(sources_, door_.registry, door_.repository);
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
  // What is asked for is what is needed, whatever the challenge names: a registry must not get hold
  // of a token that does more, with the user's credentials.
  const std::string scope = door_.repository.empty() ? parameter(challenge, "scope")
                                                     : "repository:" + door_.repository + ":pull";
  TokenRequest request{.realm = check_realm(challenge, registry),
                       .service = parameter(challenge, "service"),
                       .scope = scope};
  // A token bought with a password would travel in the clear, too: over plain http all is
  // anonymous.
  if (registry.scheme == "https") request.credentials = lookup_->credentials;
  sent_credentials_ = request.credentials.has_value();
  request.public_peers_only = is_public && !same_origin(request.realm, registry);
  request.insecure = door_.insecure && request.realm.host == registry.host;
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
      (is_loopback(realm->host) || (door_.insecure && realm->host == registry.host));
  if (realm->scheme != "https" && !may_be_plain) {
    throw Error(ErrorCode::network,
                "the registry names a token server without TLS, " + realm->authority());
  }
  if (lookup_->credentials && registry.scheme == "https" &&
      !may_receive_credentials(*realm, registry, trusted_realms_)) {
    throw Error(ErrorCode::network,
                "the registry " + door_.registry + " wants its credentials to be sent to " +
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

// Registries do not tell strangers whether a repository exists.
std::string Authenticator::refusal_text() const {
  if (sent_credentials_) return "the registry refused the credentials";
  return "login needed, or there is no " + door_.repository + " in " + door_.registry;
}

std::string Authenticator::login_hint() const {
  if (lookup_ && lookup_->credentials) {
    if (lookup_->origin.empty()) return "check the user name and the password";
    return "the credentials came from " + lookup_->origin;
  }
  const std::string login = "`pyro registry login " + door_.registry + "` stores some";
  std::string files;
  if (lookup_) {
    for (const std::filesystem::path& file : lookup_->searched) {
      files += (files.empty() ? "" : " or ") + file.string();
    }
  }
  if (files.empty()) return "no file with credentials was found; " + login;
  return "there are no credentials for " + door_.registry + " in " + files + "; " + login;
}

}  // namespace pyro
