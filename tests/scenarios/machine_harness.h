// Machines that boot: the executable with a small environment and a state prepared once for all
// tests.
#pragma once

#include <functional>

#include "scenarios/harness.h"

namespace pyro::testing {

inline constexpr const char* kKernel = "vmlinux";
inline constexpr const char* kRootfs = "rootfs.ext4";
inline constexpr const char* kInitrd = "initrd.img";

/// The directory with these files.
const std::filesystem::path& environment_dir();

/// Copies a file or directory; zeros become holes.
void copy_sparse(const std::filesystem::path& from, const std::filesystem::path& to);

/// Output cut at its newlines.
std::vector<std::string> lines_of(const std::string& text);

/// Every run is under emulation, of "tool:1". Skipped where there is no QEMU, or no environment to
/// boot (CONTRIBUTING.md).
class MachineHarness : public PyroHarness {
 protected:
  MachineHarness();
  static void SetUpTestSuite();
  void SetUp() override;

  /// PYRO_STATE_KEY. Each test has a HOME of its own, and states are shared.
  static constexpr const char* kStateKey = "the key of all tests";

  /// `pyro prepare [OPTION...] tool:1`, which must succeed.
  void prepare(const std::vector<std::string>& options = {}) const;

  /// `pyro run [OPTION...] tool:1 -- WORD...`
  Command run_command(const std::vector<std::string>& words,
                      const std::vector<std::string>& options = {}) const;
  ProcessResult run_in_guest(const std::vector<std::string>& words,
                             const std::vector<std::string>& options = {},
                             const std::string& input = {}) const;
  /// With the guest's sh.
  ProcessResult run_script(const std::string& script, const std::vector<std::string>& options = {},
                           const std::string& input = {}) const;

  /// Shared by all tests, which must not change it.
  static std::filesystem::path shared_cache();
  static std::filesystem::path shared_install();
  static std::filesystem::path shared_catalog();
  static std::filesystem::path shared_state();

  /// From here on in cache(), with an install of its own: where links are possible its files are
  /// those of shared_install(), so they may be replaced but not written to.
  void use_own_cache();
  /// Takes the prepared state along. `spoil` changes it before its manifest is written.
  void take_state(const std::function<void(const std::filesystem::path& state)>& spoil);

  /// Children of `parent` that were not waited for.
  static std::vector<pid_t> children_of(pid_t parent);
};

}  // namespace pyro::testing
