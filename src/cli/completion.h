// Shell completion: the candidates for a word, and the scripts that ask for them.
//
// The scripts hold no words of their own: they call `pyro __complete WORD...`, the last word being
// the one to complete, and read render().
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"

namespace pyro::cli {

/// The word in front of a command line that is to be completed, not run; it is in no help.
inline constexpr std::string_view kCompleteWord = "__complete";

struct Candidate {
  std::string text;
  std::string description;
  bool operator==(const Candidate&) const = default;
};

struct Completion {
  /// The paths that the shell adds to the candidates.
  enum class Paths { none, files, directories };

  std::vector<Candidate> candidates = {};
  Paths paths = Paths::none;
};

/// The names that operands may have.
struct KnownNames {
  /// Returns those of the catalog's environments. `globals` are the global options among the words,
  /// with their values.
  using Environments = std::function<std::vector<Candidate>(const Words& globals)>;
  using Workspaces = std::function<std::vector<Candidate>()>;

  Environments environments;
  Workspaces workspaces = [] { return std::vector<Candidate>(); };
};

/// `words` is the command line without the program's name up to the cursor; the last word is the
/// one to complete, and empty behind a space.
[[nodiscard]] Completion complete(const Words& words, const KnownNames& names);

/// A first line "none", "files" or "directories", then a line for each candidate: the word, a tab,
/// its description.
[[nodiscard]] std::string render(const Completion& completion);

/// The completion script of `shell`, "bash", "zsh" or "fish"; nothing for another.
[[nodiscard]] std::optional<std::string_view> completion_script(std::string_view shell) noexcept;

}  // namespace pyro::cli
