// User names and passwords for registries, as `docker login` and `podman login` leave them.
//
// Source: spec section 6 "Auth"; the `auths` of docker's config.json and of
// containers-auth.json(5).
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyro {

struct Credentials {
  std::string username;
  std::string password;
};

struct CredentialLookup {
  std::optional<Credentials> credentials;
  /// The file that counts, whether it has credentials or not; nothing where none exists.
  std::optional<std::filesystem::path> file;
};

/// What the first of `files` that exists has for exactly `registry` ("host" or "host:port").
/// @throws Error(failed) naming the file when it cannot be read or is not what it should be; no
/// content of it is in the message.
[[nodiscard]] CredentialLookup find_credentials(const std::vector<std::filesystem::path>& files,
                                                std::string_view registry);

/// "Basic ..." as an Authorization field takes it (RFC 7617).
[[nodiscard]] std::string basic_authorization(const Credentials& credentials);

}  // namespace pyro
