// Git of this host. It runs no program that a checkout or a configuration names.
#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

namespace pyro {

/// How a call of git ended.
struct GitResult {
  int exit_code = 0;
  std::string output;
  std::string errors;  ///< Lines for the user.

  /// "patch failed: src/main.c:12" of "error: patch failed: src/main.c:12": what failed first.
  [[nodiscard]] std::string reason() const;
};

enum class GitPlace {
  checkout,        ///< With the user's configuration.
  plain_directory  ///< Outside of every repository, without any configuration.
};

/// Runs git in a directory to its end. What it says is English.
/// @throws Error(failed) where there is no git, with `hint`; (interrupted)
[[nodiscard]] GitResult run_git(const std::filesystem::path& directory, GitPlace place,
                                const std::vector<std::string>& arguments,
                                const std::stop_token& stop, const std::string& hint = {});

}  // namespace pyro
