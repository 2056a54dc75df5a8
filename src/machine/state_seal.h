// Authenticates the manifests of saved states. A state holds the memory of a machine, so one that
// came with a restored or shared cache is used only if it was made with this key.
//
// Source: RFC 2104 (HMAC), with SHA-256.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "pyro/machine.h"

namespace pyro {

/// Thread-safe.
class StateSeal {
 public:
  /// @throws Error(usage) for a key of options.state_key that is too short
  explicit StateSeal(const MachineOptions& options);

  /// Makes the file of the key if there is none.
  /// @throws Error(failed), (filesystem) without a key that can be used
  void require_key() const { static_cast<void>(find_or_make_key()); }

  /// Adds `hmac`, of all else, to a manifest. Makes the key as require_key().
  /// @throws as require_key()
  void seal(nlohmann::json& manifest) const;

  /// Why a manifest is not authentic, in one line; nothing for one that was sealed with this key.
  [[nodiscard]] std::optional<std::string> complaint_about(const nlohmann::json& manifest) const;

 private:
  /// Nothing where there is none yet.
  /// @throws Error(failed) for a file that others may read or write, or that is not a key
  [[nodiscard]] std::optional<std::string> find_key() const;
  [[nodiscard]] std::string find_or_make_key() const;

  std::string key_;
  std::filesystem::path file_;
};

}  // namespace pyro
