// The words of a command line, sorted into options and operands, by CLI11.
#include "cli/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <utility>

#include "pyro/error.h"

namespace pyro::cli {
namespace {

[[noreturn]] void fail(std::string message) {
  throw Error(ErrorCode::usage, std::move(message));
}

bool looks_like_option(std::string_view word) {
  return word.size() > 1 && word.front() == '-';
}

/// CLI11 takes the next word for the value of "--option=".
void refuse_empty_assignment(const std::string& word) {
  if (word.starts_with("--") && word.find('=') == word.size() - 1) {
    fail("option '" + word.substr(0, word.size() - 1) + "' needs a value");
  }
}

}  // namespace

struct Arguments::Option {
  CLI::Option* option;
  std::function<void(const std::string&)> set;
};

struct Arguments::Parser {
  CLI::App app;
  std::vector<Option> options;
};

Arguments::Arguments() : parser_(std::make_unique<Parser>()) {
  parser_->app.set_help_flag();
  parser_->app.allow_extras();
}

Arguments::~Arguments() = default;

void Arguments::flag(const std::string& names, bool& target, std::string help) {
  add_flag(
      names, [&target] { target = true; }, std::move(help));
}

void Arguments::counter(const std::string& names, int& target, std::string help) {
  add_flag(
      names, [&target] { ++target; }, std::move(help));
}

void Arguments::add_flag(const std::string& names, std::function<void()> given, std::string help) {
  CLI::Option* const option = parser_->app.add_flag(names);
  option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  const auto set = [given = std::move(given), names](const std::string& text) {
    if (text != "true") fail("option '" + names + "' takes no value");
    given();
  };
  parser_->options.push_back({option, set});
  add_row(names, "", std::move(help));
}

void Arguments::value(const std::string& names, std::string_view placeholder,
                      std::function<void(const std::string&)> set, std::string help) {
  CLI::Option* const option =
      parser_->app.add_option(names, [](const CLI::results_t&) { return true; });
  option->expected(1, CLI::detail::expected_max_vector_size)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  parser_->options.push_back({option, std::move(set)});
  add_row(names, placeholder, std::move(help));
}

void Arguments::choice(const std::string& names, std::string_view placeholder,
                       std::vector<std::string> choices,
                       std::function<void(const std::string&)> set, std::string help) {
  const std::string name = names.substr(names.find(',') + 1);
  value(
      names, placeholder,
      [name, choices, set = std::move(set)](const std::string& text) {
        if (std::ranges::find(choices, text) != choices.end()) return set(text);
        std::string expected = "one of: ";
        for (const std::string& choice : choices) {
          expected += (&choice == &choices.front() ? "" : ", ") + choice;
        }
        refuse_value(name.c_str(), text, expected.c_str());
      },
      std::move(help));
  rows_.back().choices = std::move(choices);
}

void Arguments::add_row(const std::string& names, std::string_view placeholder, std::string help) {
  const std::size_t comma = names.find(',');
  const bool has_short = comma != names.npos;
  rows_.push_back(Row{.short_name = has_short ? names.substr(0, comma) : "",
                      .long_name = has_short ? names.substr(comma + 1) : names,
                      .placeholder = std::string(placeholder),
                      .help = std::move(help),
                      .choices = {}});
}

std::string Arguments::Row::shown() const {
  return (short_name.empty() ? "    " : short_name + ", ") + long_name +
         (placeholder.empty() ? "" : ' ' + placeholder);
}

bool Arguments::knows(const std::string& name) const {
  return parser_->app.get_option_no_throw(name) != nullptr;
}

void Arguments::run(std::vector<std::string> words) {
  std::ranges::for_each(words, refuse_empty_assignment);
  const std::string last = words.empty() ? "" : words.back();
  std::ranges::reverse(words);
  try {
    parser_->app.parse(std::move(words));
  } catch (const CLI::ArgumentMismatch&) {
    fail("option '" + last + "' needs a value");
  } catch (const CLI::ParseError& error) {
    fail(error.what());
  }
  for (const Option& option : parser_->options) {
    for (const std::string& result : option.option->results()) option.set(result);
  }
}

void Arguments::parse(const std::vector<std::string>& words) {
  const auto separator = std::ranges::find(words, "--");
  run({words.begin(), separator});
  operands_ = parser_->app.remaining();
  const auto unknown = std::ranges::find_if(operands_, looks_like_option);
  if (unknown != operands_.end()) fail("unknown option '" + *unknown + "'");
  if (separator != words.end()) operands_.insert(operands_.end(), separator + 1, words.end());
}

void Arguments::parse_leading(const std::vector<std::string>& words) {
  parser_->app.prefix_command();
  const auto separator = std::ranges::find(words, "--");
  run({words.begin(), separator});
  operands_ = parser_->app.remaining();
  if (!operands_.empty() && looks_like_option(operands_.front())) {
    fail("unknown option '" + operands_.front() + "' before the command");
  }
  operands_.insert(operands_.end(), separator, words.end());
}

void refuse_value(const char* option, const std::string& text, const std::string& expected) {
  fail(std::string("option '") + option + "': '" + text + "' is not " + expected);
}

}  // namespace pyro::cli
