// The words of a command line, sorted into options and operands.
#include "cli/arguments.h"

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

[[noreturn]] void fail_usage(std::string message, std::string hint = {}) {
  throw Error(ErrorCode::usage, std::move(message), std::move(hint));
}

[[noreturn]] void fail_without_value(const std::string& option) {
  fail_usage("option '" + option + "' needs a value");
}

constexpr std::string_view kSeparator = "--";

bool looks_like_option(std::string_view word) {
  return word.size() > 1 && word.front() == '-' && word != kSeparator;
}

bool contains(const Words& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

Words words_from(const Words& words, std::size_t at) {
  return {words.begin() + static_cast<std::ptrdiff_t>(at), words.end()};
}

}  // namespace

std::string nearest_word(std::string_view text, const Words& candidates) {
  constexpr std::size_t kMaxLetters = 64;
  constexpr std::size_t kMinAbbreviation = 3;
  const std::size_t letters = text.size() - std::min(text.find_first_not_of('-'), text.size());
  if (letters > kMaxLetters) return {};
  std::size_t least = std::max<std::size_t>(letters / 3, 1) + 1;
  std::string nearest;
  for (const std::string& candidate : candidates) {
    const bool abbreviates = letters >= kMinAbbreviation && candidate.starts_with(text);
    const std::size_t distance = abbreviates ? 1 : alignment_distance(text, candidate);
    if (distance >= least) continue;
    least = distance;
    nearest = candidate;
  }
  return nearest;
}

std::string suggestion(const std::string& word) {
  return word.empty() ? "" : "did you mean '" + word + "'?";
}

void refuse_value(const std::string& option, const std::string& text, const std::string& expected) {
  fail_usage("option '" + option + "': '" + text + "' is not " + expected);
}

std::string Arguments::Row::shown() const {
  return (short_name.empty() ? "    " : short_name + ", ") + long_name +
         (placeholder.empty() ? "" : ' ' + placeholder);
}

void Arguments::flag(const std::string& names, bool& target, std::string help) {
  value(
      names, "", [&target](const std::string&) { target = true; }, std::move(help));
}

void Arguments::counter(const std::string& names, int& target, std::string help) {
  value(
      names, "", [&target](const std::string&) { ++target; }, std::move(help));
}

void Arguments::value(const std::string& names, std::string_view placeholder, Setter set,
                      std::string help) {
  const std::size_t comma = names.find(',');
  rows_.push_back(Row{.short_name = comma == names.npos ? "" : names.substr(0, comma),
                      .long_name = long_name_of(names),
                      .placeholder = std::string(placeholder),
                      .help = std::move(help),
                      .choices = {}});
  setters_.push_back(std::move(set));
}

void Arguments::path(const std::string& names, std::string_view placeholder,
                     std::optional<std::string>& target, std::string help) {
  value(
      names, placeholder,
      [option = long_name_of(names), &target](const std::string& text) {
        if (text.empty()) fail_without_value(option);
        target = text;
      },
      std::move(help));
}

void Arguments::paths(const std::string& names, std::string_view placeholder, Words& targets,
                      std::string help) {
  value(
      names, placeholder,
      [option = long_name_of(names), &targets](const std::string& text) {
        if (text.empty()) fail_without_value(option);
        targets.push_back(text);
      },
      std::move(help));
}

void Arguments::choice(const std::string& names, std::string_view placeholder, Words choices,
                       Setter set, std::string help, std::string implied) {
  value(
      names, placeholder,
      [name = long_name_of(names), choices, set = std::move(set)](const std::string& text) {
        if (contains(choices, text)) return set(text);
        std::string expected;
        for (const std::string& choice : choices)
          expected += (expected.empty() ? "" : ", ") + choice;
        refuse_value(name, text, "one of: " + expected);
      },
      std::move(help));
  rows_.back().choices = std::move(choices);
  rows_.back().implied = std::move(implied);
}

std::string Arguments::long_name_of(const std::string& names) {
  return names.substr(names.find(',') + 1);
}

std::size_t Arguments::find(std::string_view name) const {
  const auto row =
      std::ranges::find_if(rows_, [&](const Row& known) { return known.is_called(name); });
  return static_cast<std::size_t>(row - rows_.begin());
}

/// Takes the option that begins with the word at `at`; returns where the next one begins.
std::size_t Arguments::parse_option(const Words& words, std::size_t at, const char* where) const {
  std::string word = words[at++];
  while (true) {
    const bool is_long = word.starts_with("--");
    const std::string name = word.substr(0, is_long ? word.find('=') : 2);
    const std::size_t found = find(name);
    if (found == rows_.size()) {
      Words known;
      for (const Row& row : rows_) known.push_back(row.long_name);
      fail_usage("unknown option '" + word + "'" + where, suggestion(nearest_word(name, known)));
    }
    const Row& row = rows_[found];
    const bool is_flag = row.placeholder.empty();
    std::string rest = word.substr(name.size());
    if (is_long && rest == "=") fail_without_value(name);
    if (is_flag && is_long && !rest.empty()) fail_usage("option '" + name + "' takes no value");
    if (is_flag) {
      setters_[found]({});
      if (rest.empty()) return at;
      word = '-' + rest;
    } else {
      const bool is_last = at == words.size() || words[at] == kSeparator;
      if (rest.empty() && !row.implied.empty() && (is_last || !contains(row.choices, words[at]))) {
        setters_[found](row.implied);
        return at;
      }
      if (rest.empty() && is_last) fail_without_value(name);
      setters_[found](rest.empty() ? words[at++] : rest.substr(is_long ? 1 : 0));
      return at;
    }
  }
}

void Arguments::parse(const Words& words) {
  const auto rest = parse_before_command(words, std::numeric_limits<std::size_t>::max());
  if (rest) operands_.insert(operands_.end(), rest->begin(), rest->end());
}

std::optional<Words> Arguments::parse_before_command(const Words& words, std::size_t count) {
  for (std::size_t at = 0; at < words.size();) {
    if (words[at] == kSeparator) return words_from(words, at + 1);
    if (looks_like_option(words[at])) {
      at = parse_option(words, at, "");
    } else if (operands_.size() < count) {
      operands_.push_back(words[at++]);
    } else {
      return words_from(words, at);
    }
  }
  return std::nullopt;
}

void Arguments::parse_leading(const Words& words) {
  std::size_t at = 0;
  while (at < words.size() && looks_like_option(words[at])) {
    at = parse_option(words, at, " before the command");
  }
  operands_ = words_from(words, at);
}

}  // namespace pyro::cli
