// User names and passwords for registries: the files that hold them, and how they are found.
//
// Source: containers-auth.json(5); docker's config.json (`auths`, `credHelpers`, `credsStore`).
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/error.h"
#include "pyro/network_options.h"

namespace pyro {

/// A login at a registry.
struct Credentials {
  std::string username = {};
  std::string password = {};
  /// In place of user name and password: OAuth2's refresh token, which buys bearer tokens.
  std::string identity_token = {};
};

/// Is given a warning of one line.
using Warn = std::function<void(std::string_view)>;

/// Files and helpers, in the order in which they are searched.
struct CredentialSources {
  std::vector<std::filesystem::path> files = {};
  std::vector<std::filesystem::path> helper_directories = {};
  /// Of a helper program, which may ask the user to unlock a keyring.
  std::chrono::milliseconds helper_timeout{30'000};
  std::stop_token stop = {};  ///< Asking it to stop kills a helper.
  Warn warn = {};
};

/// The sources that the options name.
[[nodiscard]] CredentialSources credential_sources(const NetworkOptions& options,
                                                   std::stop_token stop, Warn warn);

struct CredentialLookup {
  std::optional<Credentials> credentials = {};
  std::string origin = {};                           ///< Of the credentials, for messages.
  std::vector<std::filesystem::path> searched = {};  ///< The existing files that were read.
};

/// Searches the files for `registry` ("host" or "host:port"); the first with credentials wins.
/// Within a file, a helper that `credHelpers` names for the registry is the only source. Else the
/// order is: the most specific entry for a part of the registry that the repository is in; the
/// helper of `credsStore`; the entry for the registry.
/// @throws Error(failed) naming a file that cannot be used, or whose helper cannot, without
/// secrets; (interrupted).
[[nodiscard]] CredentialLookup find_credentials(const CredentialSources& sources,
                                                std::string_view registry,
                                                std::string_view repository);

/// "Basic ...", the value of an Authorization field (RFC 7617).
[[nodiscard]] std::string basic_authorization(const Credentials& credentials);

/// One file of credentials, as `docker login` and `podman login` write them.
class CredentialFile {
 public:
  /// Nothing when there is no such file. Follows links: some users keep such files elsewhere. A
  /// file .dockercfg has docker's first format: the entries alone.
  /// @throws Error(failed) naming a file that cannot be read, that others may write, or that is not
  /// valid; without any of its content.
  [[nodiscard]] static std::optional<CredentialFile> read(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// A warning about the permissions of the file; empty if they are as they should be.
  [[nodiscard]] const std::string& remark() const noexcept { return remark_; }
  /// The whole content, in its order.
  [[nodiscard]] const nlohmann::ordered_json& content() const noexcept { return *content_; }

  /// The most specific of the entries for parts of the registry ("host/team/tool", "host/team").
  [[nodiscard]] std::optional<Credentials> find_for_part(std::string_view registry,
                                                         std::string_view repository) const;
  /// The registry's own entry.
  [[nodiscard]] std::optional<Credentials> find_for_host(std::string_view registry) const;
  /// The helper that `credHelpers` names for the registry.
  [[nodiscard]] std::optional<std::string> own_helper_of(std::string_view registry) const;
  /// The helper for the registry, from `credHelpers` or `credsStore`.
  [[nodiscard]] std::optional<std::string> helper_for(std::string_view registry) const;

  /// Error(failed) "cannot use the credentials in FILE: why".
  [[nodiscard]] Error unusable(const std::string& why) const;

 private:
  CredentialFile(std::filesystem::path path, std::string remark,
                 std::shared_ptr<const nlohmann::ordered_json> content)
      : path_(std::move(path)), remark_(std::move(remark)), content_(std::move(content)) {}

  [[nodiscard]] const nlohmann::ordered_json* section(const char* name) const;
  [[nodiscard]] std::optional<Credentials> find_entry(const std::vector<std::string>& names) const;

  std::filesystem::path path_;
  std::string remark_;
  std::shared_ptr<const nlohmann::ordered_json> content_;
};

/// Whether a key of `auths` or `credHelpers` means all of `registry`: "host" in any case,
/// "https://host", "https://host/v1/", the same with http. Docker Hub has several names.
[[nodiscard]] bool means_registry(std::string_view key, std::string_view registry);

/// The key of `docker login` for a registry, in files and helpers; and all keys in helpers, of
/// which `podman login` may use another.
[[nodiscard]] std::string docker_key(std::string_view registry);
[[nodiscard]] std::vector<std::string> helper_servers(std::string_view registry);

struct Kept {
  std::optional<std::string> helper = {};  ///< The program that keeps the credentials.
  bool was_there = false;                  ///< There were credentials before.
};

/// Writes `credentials` for `registry` to the first of `sources.files`, or to the helper that it
/// names, in place of earlier ones.
/// @throws Error(failed), (filesystem), (busy), (interrupted); the file is unchanged then.
Kept keep_credentials(const CredentialSources& sources, std::string_view registry,
                      const Credentials& credentials);

/// Removes the credentials. Does not touch a file without any.
/// @throws as keep_credentials().
Kept forget_credentials(const CredentialSources& sources, std::string_view registry);

}  // namespace pyro
