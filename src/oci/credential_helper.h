// Programs that keep credentials in a keyring: docker-credential-NAME.
//
// Source: the protocol of docker-credential-helpers (its README, "Development"): a verb as the
// argument, a server or JSON on standard input, JSON or a complaint on standard output.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/credentials.h"
#include "oci/helper_process.h"

namespace pyro {

class CredentialHelper {
 public:
  /// The program "docker-credential-<name>" in the first of `directories` that has it.
  /// @throws Error(failed) for a name that could lead elsewhere, and where there is no such program
  CredentialHelper(const std::string& name, const std::vector<std::filesystem::path>& directories,
                   HelperLimits limits);

  /// "docker-credential-pass"
  [[nodiscard]] std::string program() const { return program_.filename().string(); }

  /// What it has for `server`; nothing where it says that it has nothing.
  /// @throws Error(failed) for all else that it says or does, without what may be a secret;
  /// (interrupted). The same of the others.
  [[nodiscard]] std::optional<Credentials> get(const std::string& server) const;

  void store(const std::string& server, const Credentials& credentials) const;

  /// False where it had nothing.
  bool erase(const std::string& server) const;

 private:
  [[nodiscard]] std::optional<std::string> ask(const std::string& verb,
                                               const std::string& input) const;

  std::filesystem::path program_;
  HelperLimits limits_;
};

}  // namespace pyro
