// User names and passwords for registries: where they are kept, and in which order one looks.
//
// Source: spec section 6 "Auth"; containers-auth.json(5), "DESCRIPTION" and "FORMAT".
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/network_options.h"

namespace pyro {

struct Credentials {
  std::string username = {};
  std::string password = {};
  /// Buys bearer tokens in place of a password (OAuth2's refresh token). Where there is one, there
  /// is nothing else.
  std::string identity_token = {};
};

/// Is told what people should know, in one line.
using Warn = std::function<void(std::string_view)>;

struct CredentialSources {
  std::vector<std::filesystem::path> files = {};
  std::vector<std::filesystem::path> helper_directories = {};
  /// How long a helper program may take: somebody may have to unlock a keyring.
  std::chrono::milliseconds helper_patience{30'000};
  std::stop_token stop = {};  ///< Asking it to stop kills a helper.
  Warn warn = {};
};

/// Those that the options name.
[[nodiscard]] CredentialSources credential_sources(const NetworkOptions& options,
                                                   std::stop_token stop, Warn warn);

struct CredentialLookup {
  std::optional<Credentials> credentials = {};
  std::string origin = {};                           ///< Where they came from, for people.
  std::vector<std::filesystem::path> searched = {};  ///< The files that exist and were looked at.
};

/// What the first of the files that has anything for `registry` ("host" or "host:port") has. In a
/// file the helper that `credHelpers` names for the registry counts alone. Else an entry for a part
/// of the registry that the repository is in comes first, the most specific before others; then the
/// helper of `credsStore`; then the registry's own entry.
/// @throws Error(failed) naming the file when it or its helper cannot be used, with no secret in
/// the message; (interrupted).
[[nodiscard]] CredentialLookup find_credentials(const CredentialSources& sources,
                                                std::string_view registry,
                                                std::string_view repository);

/// "Basic ..." as an Authorization field takes it (RFC 7617).
[[nodiscard]] std::string basic_authorization(const Credentials& credentials);

}  // namespace pyro
