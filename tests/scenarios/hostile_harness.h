// Expectations of every refusal in the catalogue of tests/hostile.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "scenarios/registry_harness.h"

namespace pyro::testing {

class HostileHarness : public RegistryHarness {
 protected:
  using RegistryHarness::RegistryHarness;

  /// Exit code, one message, nothing on standard output, no secret, no control character, a cache
  /// as it was. (Memory and time are bounded for every command.)
  void expect_refused(int exit_code, const std::vector<std::string>& says,
                      const std::vector<std::string>& words = {"env", "pull", "tool:1"},
                      const Variables& variables = {}) {
    variables_.try_emplace("PYRO_RETRIES", "1");
    const auto before = cache_state();
    const ProcessResult result = pyro(words, variables);
    EXPECT_EQ(result.exit_code, exit_code) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(occurrences("pyro: error: ", result.err), 1U) << result.err;
    EXPECT_LT(result.err.size(), 4000U) << result.err;
    expect_says(result.err, says);
    expect_hides(result.err, secrets());
    EXPECT_FALSE(std::ranges::any_of(result.err, is_control)) << result.err;
    EXPECT_EQ(without_partials(cache_state()), without_partials(before));
  }

  void expect_refused_over_an_install(int exit_code, const std::vector<std::string>& says) {
    install_by_hand(other_artifacts(20));
    expect_refused(exit_code, says, {"env", "pull", "--force", "tool:1"});
    expect_installed(other_artifacts(20));
  }

  static std::size_t occurrences(const std::string& part, const std::string& text) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
      ++count;
    }
    return count;
  }

  static bool is_control(char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f;
  }

  /// Partial downloads are kept on purpose.
  static std::vector<std::string> without_partials(std::vector<std::string> lines) {
    std::erase_if(lines, [](const std::string& line) { return line.starts_with("partial/"); });
    return lines;
  }
};

}  // namespace pyro::testing
