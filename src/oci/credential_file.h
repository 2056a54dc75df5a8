// One file of credentials, as `docker login` and `podman login` leave them.
//
// Source: docker's config.json (`auths`, `credHelpers`, `credsStore`); containers-auth.json(5).
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/credentials.h"
#include "pyro/error.h"

namespace pyro {

class CredentialFile {
 public:
  /// Nothing where no such file exists. Links are followed: people keep such files elsewhere. One
  /// that is called .dockercfg is in docker's first format: entries, and nothing around them.
  /// @throws Error(failed) naming the file when it cannot be read or believed, or is not what it
  /// should be; no content of it is in the message.
  [[nodiscard]] static std::optional<CredentialFile> read(const std::filesystem::path& path);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// What its users should be told of who may read and write it; empty when that is as it should
  /// be.
  [[nodiscard]] const std::string& remark() const noexcept { return remark_; }
  /// All that it says, in its order.
  [[nodiscard]] const nlohmann::ordered_json& content() const noexcept { return content_; }

  /// Of the entries for parts of the registry ("host/team/tool", "host/team") the most specific.
  [[nodiscard]] std::optional<Credentials> find_for_part(std::string_view registry,
                                                         std::string_view repository) const;
  /// The registry's own entry.
  [[nodiscard]] std::optional<Credentials> find_for_host(std::string_view registry) const;
  /// The helper that `credHelpers` names for the registry: then nothing else counts.
  [[nodiscard]] std::optional<std::string> own_helper_of(std::string_view registry) const;
  /// The helper that keeps the registry's credentials, from `credHelpers` or `credsStore`.
  [[nodiscard]] std::optional<std::string> helper_for(std::string_view registry) const;

  /// Error(failed) "cannot use the credentials in FILE: why".
  [[nodiscard]] Error unusable(const std::string& why) const;

 private:
  CredentialFile(std::filesystem::path path, std::string remark, nlohmann::ordered_json content)
      : path_(std::move(path)), remark_(std::move(remark)), content_(std::move(content)) {}

  [[nodiscard]] const nlohmann::ordered_json* section(const char* name) const;
  [[nodiscard]] std::optional<Credentials> find_entry(const std::vector<std::string>& names) const;

  std::filesystem::path path_;
  std::string remark_;
  nlohmann::ordered_json content_;
};

/// Whether a key of `auths` or `credHelpers` means the whole of `registry`: "host" in any case,
/// "https://host", "https://host/v1/", the same with http. Docker Hub goes by several names.
[[nodiscard]] bool means_registry(std::string_view key, std::string_view registry);

/// The name that `docker login` keeps a registry's credentials under, in files and in helpers; and
/// the one that `podman login` gives to helpers, where that is another.
[[nodiscard]] std::string docker_key(std::string_view registry);
[[nodiscard]] std::vector<std::string> helper_servers(std::string_view registry);

}  // namespace pyro
