// Shell completion: what could stand where the cursor is, and the scripts by which shells ask.
//
// The scripts hold no words of their own: they call `pyro __complete WORD...`, the last word being
// the one to complete, and read render().
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pyro::cli {

/// The word in front of a command line that is to be completed, not run; it is in no help.
inline constexpr std::string_view kCompleteWord = "__complete";

struct Candidate {
  std::string text;
  std::string description;
  bool operator==(const Candidate&) const = default;
};

struct Completion {
  /// What the shell is to offer besides, from its own knowledge.
  enum class Paths { none, files, directories };

  std::vector<Candidate> candidates = {};
  Paths paths = Paths::none;
};

/// The environments there are. `globals` are the global options among the words, with their values.
using EnvironmentNames =
    std::function<std::vector<Candidate>(const std::vector<std::string>& globals)>;

/// `words` is the command line without the program's name up to the cursor; the last word is the
/// one to complete, and empty behind a space.
[[nodiscard]] Completion complete(const std::vector<std::string>& words,
                                  const EnvironmentNames& environments);

/// A first line "none", "files" or "directories", then a line for each candidate: the word, a tab,
/// what it means.
[[nodiscard]] std::string render(const Completion& completion);

/// What makes `shell` ("bash", "zsh", "fish") complete pyro's words; nothing for another.
[[nodiscard]] std::optional<std::string_view> completion_script(std::string_view shell) noexcept;

}  // namespace pyro::cli
