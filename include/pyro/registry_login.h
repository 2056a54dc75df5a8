// Logging in to registries, and out again: credentials kept where `docker`, `podman` and pyro look.
//
// Source: spec section 6 "Auth"; containers-auth.json(5); docker's config.json.
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
  /// `credential_files`: the first is written to, and made where it is missing; the others are
  /// read only. `helper_directories`: for the helper that the first one names for the registry,
  /// which keeps the credentials then.
  NetworkOptions network;
  /// Ask the registry first whether it takes them; log_in() only.
  bool check = true;
  /// Not owned; may be null. Hears warnings, and of each request.
  ProgressListener* progress = nullptr;
  /// Asking it to stop ends what is under way with Error(interrupted), and nothing is changed.
  std::stop_token stop = {};
};

/// Where credentials are kept.
struct LoginPlace {
  std::string registry;  ///< In lower case.
  std::filesystem::path file;
  /// "docker-credential-pass", where the file names a helper for this registry.
  std::optional<std::string> helper;
};

struct LoginReport {
  LoginPlace place;
  /// The registry has taken them. False where it was not asked, or lets everybody in.
  bool checked = false;
};

struct LogoutReport {
  LoginPlace place;
  bool removed = false;  ///< There was something to forget.
  /// What has credentials for the registry still, and counts from now on: a file or helper that
  /// pyro does not write to. For people.
  std::optional<std::string> remaining;
};

/// Keeps `username` and `password` for `registry` ("host" or "host:port"), in place of what was
/// there. What else is in the file stays as it is. The file is replaced in one step, mode 0600,
/// directories that are made for it are 0700; at every instant it is the old one or the new one.
/// Any number of processes may do this at the same time.
/// @throws Error: usage (no registry, or a name or password that cannot be one), network (refused
/// credentials too), failed (a file or helper that cannot be used), filesystem, busy, interrupted.
LoginReport log_in(const LoginOptions& options, std::string_view registry,
                   const std::string& username, const std::string& password);

/// Forgets what is kept for `registry`; that there is nothing is no error. Asks nobody.
/// @throws Error as log_in() does
LogoutReport log_out(const LoginOptions& options, std::string_view registry);

}  // namespace pyro
