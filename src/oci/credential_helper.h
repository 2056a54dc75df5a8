// Programs that keep credentials in a keyring: docker-credential-NAME.
//
// Source: the protocol of docker-credential-helpers (its README, "Development"): a verb as the
// argument, a server or JSON on standard input, JSON or an error message on standard output.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "oci/credentials.h"

namespace pyro {

struct HelperLimits {
  std::chrono::milliseconds timeout{30'000};
  std::size_t output = std::size_t{64} << 10;  ///< In bytes.
  std::stop_token stop = {};
};

/// One helper program. Each call runs it once: with this process's variables, by which helpers find
/// agents and keyrings, in a process group of its own, without other descriptors, and without its
/// standard error.
class CredentialHelper {
 public:
  /// The program "docker-credential-<name>" in the first of `directories` that has it.
  /// @throws Error(failed) for a name that could lead elsewhere, and when there is no such program
  CredentialHelper(const std::string& name, const std::vector<std::filesystem::path>& directories,
                   HelperLimits limits);

  /// "docker-credential-pass"
  [[nodiscard]] std::string program() const { return program_.filename().string(); }

  /// The credentials for `server`; nothing if the helper has none.
  /// @throws Error(failed) when the helper fails, exceeds the limits or gives another answer,
  /// without text that may be a secret; (interrupted). The helper and its group are killed then.
  [[nodiscard]] std::optional<Credentials> get(const std::string& server) const;

  /// @throws as get().
  void store(const std::string& server, const Credentials& credentials) const;

  /// False if the helper had none.
  /// @throws as get().
  bool erase(const std::string& server) const;

 private:
  [[nodiscard]] std::optional<std::string> ask(const std::string& verb,
                                               const std::string& input) const;

  std::filesystem::path program_;
  HelperLimits limits_;
};

}  // namespace pyro
