// Checks of a cache after a process or the whole machine stopped during a command.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "scenarios/registry_harness.h"

namespace pyro::testing {

/// One of the commands that change a cache, and the states between which it may stop.
struct Operation {
  std::vector<std::string> words;
  /// The command that has to work afterwards.
  std::vector<std::string> again;
  std::optional<Artifacts> before;  ///< Nothing: not installed.
  std::string before_status = "ok";
  Artifacts after;
};

class InterruptedHarness : public RegistryHarness {
 protected:
  void SetUp() override;

  Operation first_install();
  Operation replacement();
  Operation repair();
  Operation pruning();

  /// `list` works, the install is the complete old one or the complete new one, and `verify`
  /// accepts it. Once success was reported it is the new one.
  void expect_old_or_new(const Operation& operation, bool reported) const;
  /// The next command succeeds, and after a prune nothing is left but the install.
  void expect_recovery(const Operation& operation) const;
};

}  // namespace pyro::testing
