// The words of a command line, sorted into options and operands.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "front/text.h"

namespace pyro::cli {

using Words = std::vector<std::string>;

/// The one of `candidates` that `text` is most likely a misspelling or an abbreviation of; empty
/// for none.
[[nodiscard]] std::string nearest_word(std::string_view text, const Words& candidates);

/// "did you mean 'WORD'?", or empty where there is no word.
[[nodiscard]] std::string suggestion(const std::string& word);

/// @throws Error(usage) "option '--memory': 'x' is not <expected>"
[[noreturn]] void refuse_value(const std::string& option, const std::string& text,
                               const std::string& expected);

/// Declares options, then parses words against them.
///
/// A name is "--long" or "-s,--long". An option takes one value or none: "--long VALUE",
/// "--long=VALUE", "-s VALUE", "-sVALUE". A value that may be left out is taken from the next word
/// only where that is one of the choices. Flags of one letter may be joined: "-it". Everything
/// after a "--" is an operand.
class Arguments {
 public:
  /// Called for each time the option is given; may throw Error(usage).
  using Setter = std::function<void(const std::string& value)>;

  /// The description of an option.
  struct Row {
    std::string short_name;   ///< "-q", or empty.
    std::string long_name;    ///< "--quiet"
    std::string placeholder;  ///< "DIR"; empty for a flag.
    std::string help;
    Words choices;             ///< All values that are accepted, where they can be listed.
    std::string implied = {};  ///< Its value where none of `choices` follows; empty: one must.

    [[nodiscard]] bool is_called(std::string_view name) const {
      return long_name == name || short_name == name;
    }
    /// As a list shows it: "-q, --quiet", and aligned with it "    --cache-dir DIR".
    [[nodiscard]] std::string shown() const;
  };

  void flag(const std::string& names, bool& target, std::string help);

  /// A flag that counts: -v, -vv.
  void counter(const std::string& names, int& target, std::string help);

  void value(const std::string& names, std::string_view placeholder, Setter set, std::string help);

  /// A value that is kept as it is.
  template <typename T>
  void text(const std::string& names, std::string_view placeholder, T& target,
            const std::string& help) {
    value(
        names, placeholder, [&target](const std::string& text) { target = text; }, help);
  }

  /// A value that must not be empty.
  void path(const std::string& names, std::string_view placeholder,
            std::optional<std::string>& target, std::string help);

  /// The same for an option that may be repeated.
  void paths(const std::string& names, std::string_view placeholder, Words& targets,
             std::string help);

  /// A value that `parser` turns into a std::optional. Where it returns nothing, the value is
  /// refused as "not <expected>".
  template <typename T, typename Parse>
  void parsed(const std::string& names, std::string_view placeholder, T& target, Parse parser,
              std::string expected, const std::string& help) {
    value(
        names, placeholder,
        [option = long_name_of(names), &target, parser,
         expected = std::move(expected)](const std::string& text) {
          const auto value = parser(text);
          if (!value) refuse_value(option, text, expected);
          target = *value;
        },
        help);
  }

  /// A size, with the placeholder SIZE. A bare number counts `unit`s.
  template <typename T>
  void size(const std::string& names, T& target, std::string help, std::uint64_t unit = 1) {
    parsed(
        names, "SIZE", target, [unit](const std::string& text) { return parse_size(text, unit); },
        "a size like 64GiB", std::move(help));
  }

  /// A time, with the placeholder TIME. A bare number counts seconds.
  template <typename T>
  void time(const std::string& names, T& target, std::string help) {
    parsed(
        names, "TIME", target, [](const std::string& text) { return parse_duration(text); },
        "a time like 90s, 5m or 12h", std::move(help));
  }

  /// A value that is one of `choices`; others are refused. With `implied` it may be left out.
  void choice(const std::string& names, std::string_view placeholder, Words choices, Setter set,
              std::string help, std::string implied = {});

  /// Whether an option of that name is declared: a command's own replace the global ones.
  [[nodiscard]] bool knows(std::string_view name) const { return find(name) < rows_.size(); }

  /// Options anywhere among the operands.
  /// @throws Error(usage) for unknown options and missing values.
  void parse(const Words& words);

  /// The same for words that hold another command. It begins behind a "--", or at the first word
  /// behind `count` operands that is no option. Returns it; nothing where there is none.
  /// @throws Error(usage) as parse() does
  std::optional<Words> parse_before_command(const Words& words, std::size_t count);

  /// Options before the first operand.
  /// @throws Error(usage) as parse() does
  void parse_leading(const Words& words);

  /// After parse(): the operands; after parse_leading(): all words from the first operand on.
  [[nodiscard]] const Words& operands() const noexcept { return operands_; }

  [[nodiscard]] const std::vector<Row>& rows() const noexcept { return rows_; }

 private:
  static std::string long_name_of(const std::string& names);
  /// The index of a row; rows_.size() where there is none.
  [[nodiscard]] std::size_t find(std::string_view name) const;
  std::size_t parse_option(const Words& words, std::size_t at, const char* where) const;

  std::vector<Row> rows_;
  std::vector<Setter> setters_;  // one for each row
  Words operands_;
};

}  // namespace pyro::cli
