// Logging in to registries, and out again.
#include "pyro/registry_login.h"

#include <algorithm>
#include <utility>

#include "base/ascii.h"
#include "base/oci_names.h"
#include "net/curl_client.h"
#include "net/retry.h"
#include "oci/credential_store.h"
#include "oci/endpoints.h"
#include "oci/hosts.h"
#include "oci/registries_conf.h"
#include "oci/registry_error.h"
#include "oci/registry_session.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxAnswer = std::size_t{64} << 10;
constexpr std::size_t kMaxSecret = std::size_t{16} << 10;

std::string check_registry(std::string_view registry) {
  if (is_oci_registry(registry)) return to_lower(registry);
  const std::size_t scheme = registry.find("://");
  std::string text =
      "'" + std::string(registry) + "' is not a registry like registry.example.org:5000";
  if (scheme != registry.npos) {
    text += ": leave the " + std::string(registry.substr(0, scheme + 3)) + " away";
  }
  throw Error(ErrorCode::usage, std::move(text));
}

/// RFC 7617 section 2: with a colon in the name nobody could tell where the password begins.
void check_credentials(const std::string& username, const std::string& password) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; };
  if (username.empty()) throw Error(ErrorCode::usage, "the user name is empty");
  if (password.empty()) throw Error(ErrorCode::usage, "the password is empty");
  if (username.find(':') != username.npos) {
    throw Error(ErrorCode::usage, "the user name has a colon in it");
  }
  if (std::ranges::any_of(username, is_control) || std::ranges::any_of(password, is_control)) {
    throw Error(ErrorCode::usage, "the user name or the password has a control character in it");
  }
  if (username.size() > kMaxSecret || password.size() > kMaxSecret) {
    throw Error(ErrorCode::usage, "the user name or the password is longer than 16 KiB");
  }
}

void warn(const LoginOptions& options, const std::string& text) {
  if (options.progress != nullptr) options.progress->warning(text);
}

CredentialSources sources_of(const LoginOptions& options) {
  return credential_sources(options.network, options.stop,
                            [&](std::string_view text) { warn(options, std::string(text)); });
}

/// Whether registries.conf says that nobody need check who answers.
bool is_insecure(const LoginOptions& options, const std::string& registry) {
  const auto rules = load_registries(options.network.registries_files, [&](std::string_view line) {
    if (options.progress != nullptr) options.progress->note(line);
  });
  const RegistryRule* const rule = find_rule(canonical_registry(registry), rules);
  if (rule == nullptr || !rule->insecure) return false;
  warn(options, insecure_warning(registry));
  return true;
}

/// Whether the registry has seen the credentials, and taken them.
bool try_credentials(const LoginOptions& options, const std::string& registry,
                     const Credentials& credentials) {
  const NetworkOptions& network = options.network;
  CurlClient http(client_options(network, options.stop, options.progress));
  RegistrySession session(http,
                          {.registry = std::string(registry_host(registry)),
                           .insecure = is_insecure(options, registry)},
                          network, credentials);
  Retry retry({.retries = network.retries, .delay = network.retry_delay, .stop = options.stop});
  retry.run([&] {
    std::string body;
    const HttpResponse answer =
        session.get("", {.on_head = refuse_page_of_registry}, bounded_sink(body, kMaxAnswer));
    if (!answer.ok()) throw_refusal(refused_answer(session.speaker(answer), answer), answer);
  });
  return session.sent_credentials();
}

bool check_with_registry(const LoginOptions& options, const std::string& registry,
                         const Credentials& credentials) try {
  const bool checked = try_credentials(options, registry, credentials);
  if (!checked) {
    warn(options, "nobody has checked the password: " + registry +
                      " lets everybody in, or does not speak TLS");
  }
  return checked;
} catch (Error& error) {
  if (error.code() != ErrorCode::interrupted) error.add_context("cannot log in to " + registry);
  throw;
}

LoginPlace place_of(const CredentialSources& sources, std::string registry,
                    std::optional<std::string> helper) {
  return {std::move(registry), sources.files.front(), std::move(helper)};
}

/// What the other files have; what they could not say is for the next pull to tell.
std::optional<std::string> remaining_in(CredentialSources sources, const std::string& registry) {
  sources.files.erase(sources.files.begin());
  sources.warn = {};
  try {
    const CredentialLookup lookup = find_credentials(sources, registry, "");
    return lookup.credentials ? std::optional(lookup.origin) : std::nullopt;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    return std::nullopt;
  }
}

/// The hints on full and read-only file systems are about the cache.
template <typename Work>
Kept in_file(const Work& work) {
  try {
    return work();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::filesystem) throw;
    throw Error(error.code(), error.what(), "REGISTRY_AUTH_FILE can name another file");
  }
}

}  // namespace

LoginReport log_in(const LoginOptions& options, std::string_view registry,
                   const std::string& username, const std::string& password) {
  const std::string host = check_registry(registry);
  check_credentials(username, password);
  const Credentials credentials{username, password};
  const CredentialSources sources = sources_of(options);
  const bool checked = options.check && check_with_registry(options, host, credentials);
  const Kept kept = in_file([&] { return keep_credentials(sources, host, credentials); });
  return {place_of(sources, host, kept.helper), checked};
}

LogoutReport log_out(const LoginOptions& options, std::string_view registry) {
  const std::string host = check_registry(registry);
  const CredentialSources sources = sources_of(options);
  const Kept kept = in_file([&] { return forget_credentials(sources, host); });
  return {place_of(sources, host, kept.helper), kept.was_there, remaining_in(sources, host)};
}

}  // namespace pyro
