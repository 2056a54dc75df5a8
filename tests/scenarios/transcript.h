// Snapshots of commands and their output, kept in files beside the tests.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/process.h"

namespace pyro::testing {

/// Commands and what they printed. The file is written anew with PYRO_UPDATE_SNAPSHOTS=1.
class Transcript {
 public:
  /// Replaces text that differs from run to run by a placeholder.
  void replace(std::string text, std::string placeholder) {
    replacements_.emplace_back(std::move(text), std::move(placeholder));
  }

  void add(const std::vector<std::string>& words, const ProcessResult& result);

  /// Fails the test unless PYRO_SNAPSHOT_DIR/NAME.txt is this transcript.
  void expect_matches(const std::string& name) const;

 private:
  std::string normalised(std::string text) const;

  std::vector<std::pair<std::string, std::string>> replacements_;
  std::string text_;
};

}  // namespace pyro::testing
