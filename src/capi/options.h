// The options of the C API, parsed from JSON texts. Source: pyro/pyro.h for the fields.
#pragma once

#include <string_view>

#include "capi/fields.h"
#include "front/settings.h"
#include "pyro/environment_store.h"
#include "pyro/machine.h"

namespace pyro::capi {

// For each an empty text means an object without fields.
// @throws Error(usage) for invalid JSON, and for an unknown or invalid field, which it names.

/// Options first, then variables, then defaults, as the executable has them.
[[nodiscard]] StoreOptions parse_store_options(std::string_view text, const Variables& variables);

[[nodiscard]] PullMode parse_pull_options(std::string_view text);

[[nodiscard]] PruneOptions parse_prune_options(std::string_view text);

struct MachineChoice {
  MachineOptions machine;
  bool cold = false;
  std::vector<PortOptions> ports = {};
};

/// `defaults` come from the variables.
[[nodiscard]] MachineChoice parse_machine_options(std::string_view text,
                                                  const MachineOptions& defaults);

/// The field "network".
[[nodiscard]] GuestNetwork read_network_kind(Fields& fields);

/// The fields of a command.
[[nodiscard]] CommandOptions read_command(Fields& fields);

/// Streams and stop token are left to the caller.
[[nodiscard]] CommandOptions parse_command_options(std::string_view text);

/// The options of a copy, which are its timeout.
[[nodiscard]] CopyOptions parse_copy_options(std::string_view text);

}  // namespace pyro::capi
