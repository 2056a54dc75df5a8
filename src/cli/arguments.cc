// The words of a command line, sorted into options and operands.
#include "cli/arguments.h"

#include <algorithm>

#include "pyro/error.h"

namespace pyro::cli {
namespace {

[[noreturn]] void fail_usage(std::string message) {
  throw Error(ErrorCode::usage, std::move(message));
}

[[noreturn]] void fail_without_value(const std::string& option) {
  fail_usage("option '" + option + "' needs a value");
}

bool looks_like_option(std::string_view word) {
  return word.size() > 1 && word.front() == '-';
}

}  // namespace

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
                       Setter set, std::string help) {
  value(
      names, placeholder,
      [name = long_name_of(names), choices, set = std::move(set)](const std::string& text) {
        if (std::ranges::find(choices, text) != choices.end()) return set(text);
        std::string expected;
        for (const std::string& choice : choices)
          expected += (expected.empty() ? "" : ", ") + choice;
        refuse_value(name, text, "one of: " + expected);
      },
      std::move(help));
  rows_.back().choices = std::move(choices);
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
    if (found == rows_.size()) fail_usage("unknown option '" + word + "'" + where);
    const bool is_flag = rows_[found].placeholder.empty();
    std::string rest = word.substr(name.size());
    if (is_long && rest == "=") fail_without_value(name);
    if (is_flag && is_long && !rest.empty()) fail_usage("option '" + name + "' takes no value");
    if (is_flag) {
      setters_[found]({});
      if (rest.empty()) return at;
      word = '-' + rest;
    } else {
      if (rest.empty() && at == words.size()) fail_without_value(name);
      setters_[found](rest.empty() ? words[at++] : rest.substr(is_long ? 1 : 0));
      return at;
    }
  }
}

void Arguments::parse(const Words& words) {
  const auto separator = std::ranges::find(words, "--");
  const Words before(words.begin(), separator);
  for (std::size_t at = 0; at < before.size();) {
    if (looks_like_option(before[at])) {
      at = parse_option(before, at, "");
    } else {
      operands_.push_back(before[at++]);
    }
  }
  if (separator != words.end()) operands_.insert(operands_.end(), separator + 1, words.end());
}

void Arguments::parse_leading(const Words& words) {
  const Words before(words.begin(), std::ranges::find(words, "--"));
  std::size_t at = 0;
  while (at < before.size() && looks_like_option(before[at])) {
    at = parse_option(before, at, " before the command");
  }
  operands_.assign(words.begin() + static_cast<std::ptrdiff_t>(at), words.end());
}

}  // namespace pyro::cli
