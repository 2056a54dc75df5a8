// Login to registries and logout: credentials in the files that `docker`, `podman` and pyro read.
//
// Source: containers-auth.json(5); docker's config.json.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "pyro/error.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"

namespace pyro {

struct LoginOptions {
  /// `credential_files`: the first is written, and created where it is missing; the others are only
  /// read. `helper_directories`: for the credential helper that the first file names for the
  /// registry, which stores the credentials instead.
  NetworkOptions network;
  /// Check the credentials with the registry first; log_in() only.
  bool check = true;
  /// Receives a warning() for each problem and a detail() for each request. Not owned; may be null.
  ProgressListener* progress = nullptr;
  /// A stop request ends the operation with Error(interrupted), without changes.
  std::stop_token stop = {};
};

/// The place of stored credentials.
struct LoginPlace {
  std::string registry;  ///< In lower case.
  std::filesystem::path file;
  /// "docker-credential-pass", if the file names a helper for this registry.
  std::optional<std::string> helper;
};

struct LoginReport {
  LoginPlace place;
  /// The registry has accepted the credentials. False without a check, or if it needs none.
  bool checked = false;
};

struct LogoutReport {
  LoginPlace place;
  bool removed = false;  ///< Whether there were credentials to remove.
  /// A description of a file or helper that still has credentials for the registry, which pulls use
  /// from now on; pyro does not write to it.
  std::optional<std::string> remaining;
};

/// Stores `username` and `password` for `registry` ("host" or "host:port"), replacing earlier ones.
/// Other content of the file is preserved. The file is replaced atomically, with mode 0600, and new
/// directories get 0700. Any number of processes may do this at the same time.
/// @throws Error(usage) for an invalid registry, name or password; (network), also for refused
/// credentials; (failed) for an unusable file or helper; (filesystem), (busy), (interrupted).
LoginReport log_in(const LoginOptions& options, std::string_view registry,
                   const std::string& username, const std::string& password);

/// Removes the stored credentials for `registry`, if there are any. No network.
/// @throws Error as log_in() does
LogoutReport log_out(const LoginOptions& options, std::string_view registry);

}  // namespace pyro
