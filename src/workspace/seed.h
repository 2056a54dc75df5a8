// What a workspace begins with: the files of a directory of the host, without those that are a
// secret by their name.
//
// Of a Git checkout it is what Git tracks, what it does not ignore, and .git with its credentials
// taken out: https://git-scm.com/docs/git-ls-files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "machine/guest_requests.h"
#include "workspace/host_files.h"

namespace pyro {

/// The choice among the files of a directory.
class Seed : public TreeChoice {
 public:
  /// Looks at the directory. `all`: takes everything.
  /// @throws Error(usage) for / and for the home directory and those above it; (filesystem);
  /// (failed) for a checkout without Git, and (interrupted)
  Seed(const std::filesystem::path& directory, bool all, const std::stop_token& stop);

  [[nodiscard]] bool wants(const std::string& path, bool is_directory) const override;
  [[nodiscard]] std::optional<std::string> content_of(const std::string& path,
                                                      int file) const override;

  /// Of all files that it wants.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t files() const noexcept { return files_; }
  /// What the files were that it wants.
  [[nodiscard]] const HostFiles& host_files() const noexcept { return host_files_; }
  /// The files that are left out for their names, as paths below the directory.
  [[nodiscard]] const std::vector<std::string>& secrets() const noexcept { return secrets_; }

 private:
  [[nodiscard]] bool is_secret(const std::string& path, bool is_directory) const;
  void add(const std::string& path);

  const std::filesystem::path directory_;
  std::set<std::string, std::less<>> listed_ = {};  ///< With their directories; empty for all.
  bool is_checkout_ = false;
  bool takes_all_ = false;
  std::uint64_t bytes_ = 0;
  std::size_t files_ = 0;
  std::vector<std::string> secrets_ = {};
  HostFiles host_files_;
};

/// Whether a file of that name is left out: ".env", "server.pem", "id_ed25519".
[[nodiscard]] bool is_named_like_secret(std::string_view name);

/// The configuration of a repository without its credentials: sections [credential], headers and
/// cookies of [http], commands and files of others that are included, and the user in URLs.
[[nodiscard]] std::string without_credentials(std::string_view git_config);

}  // namespace pyro
