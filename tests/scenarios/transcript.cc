// Snapshots of commands and their output, kept in files beside the tests.
#include "scenarios/transcript.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <regex>
#include <string_view>

#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

std::string in_shell_words(const std::string& word) {
  std::string text;
  bool plain = !word.empty();
  for (const char c : word) {
    const bool printable = c >= 0x20 && c < 0x7f;
    plain = plain && printable && std::string_view(" '\"\\$").find(c) == std::string_view::npos;
    text += printable ? std::string(1, c) : "?";
  }
  return plain ? text : "'" + text + "'";
}

}  // namespace

std::string Transcript::normalised(std::string text) const {
  for (const auto& [from, to] : replacements_) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
      text.replace(at, from.size(), to);
    }
  }
  // The machine decides how many lines stand between the first and the last of a transfer, how
  // long it takes, and how much room a file system gives to a file.
  static const std::vector<std::pair<std::regex, const char*>> variable = {
      {std::regex(R"([^\n]*: \d+ %, [^\n]*\n)"), ""},
      {std::regex(R"( in \d+(\.\d+)? m?s( \([^)]*/s\))?)"), " in TIME"},
      {std::regex(R"(\d+(\.\d+)? [KMG]iB on disk)"), "SIZE on disk"},
      {std::regex(R"((reclaim(ed)?|Size on disk|installed)( +)\d+(\.\d+)? ([KMG]i)?B\b)"),
       "$1$3SIZE"},
  };
  for (const auto& [what, placeholder] : variable) {
    text = std::regex_replace(text, what, placeholder);
  }
  return text;
}

void Transcript::add(const std::vector<std::string>& words, const ProcessResult& result) {
  std::string line = "$ pyro";
  for (const std::string& word : words) line += " " + in_shell_words(word);
  line += "\n";
  std::string text = line + result.out;
  if (!result.err.empty()) text += "--- on standard error\n" + result.err;
  if (result.exit_code != 0) text += "--- exit code " + std::to_string(result.exit_code) + "\n";
  text_ += normalised(text) + "\n";
}

void Transcript::expect_matches(const std::string& name) const {
  const std::filesystem::path file = std::filesystem::path(PYRO_SNAPSHOT_DIR) / (name + ".txt");
  if (std::getenv("PYRO_UPDATE_SNAPSHOTS") != nullptr) return write_file(file, text_);
  const std::string expected = std::filesystem::exists(file) ? read_file(file) : "";
  EXPECT_EQ(text_, expected) << "if it is meant so: PYRO_UPDATE_SNAPSHOTS=1, then look at "
                             << file.filename();
}

}  // namespace pyro::testing
