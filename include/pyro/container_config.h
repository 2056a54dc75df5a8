// The configuration of a container image: its command, working directory, user and variables.
//
// Source: OCI image specification, config.md. Thread-safety: values.
#pragma once

#include <string>
#include <vector>

namespace pyro {

/// Runs apply it, unless their options say something else (pyro/machine.h). All texts are the
/// image's own: untrusted.
struct ContainerConfig {
  std::vector<std::string> env = {};         ///< "NAME=VALUE"
  std::vector<std::string> entrypoint = {};  ///< In front of `command`.
  std::vector<std::string> command = {};     ///< The default one.
  std::string working_directory = {};        ///< Absolute; empty for "/".
  std::string user = {};  ///< "", "name", "1000", "name:group" or "1000:1000"; empty for root.
  std::string stop_signal = {};  ///< "SIGTERM", "15"; empty for SIGTERM.

  friend bool operator==(const ContainerConfig&, const ContainerConfig&) = default;
};

}  // namespace pyro
