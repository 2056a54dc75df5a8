// The words of a command line, sorted into options and operands.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pyro::cli {

/// Declares options, then parses words against them. The only file that knows CLI11, whose
/// conveniences it keeps out: an option takes one value or none, never the word after its value;
/// values are not split at commas or brackets; no operand is mistaken for a command.
///
/// A name is "--long" or "-s,--long". Everything after a "--" is an operand.
class Arguments {
 public:
  /// What there is to know of an option.
  struct Row {
    std::string short_name;   ///< "-q", or empty.
    std::string long_name;    ///< "--quiet"
    std::string placeholder;  ///< "DIR"; empty for a flag.
    std::string help;
    std::vector<std::string> choices;  ///< All values there are, where they can be counted.

    /// As a list shows it: "-q, --quiet", and set below the others' long names "--cache-dir DIR".
    [[nodiscard]] std::string shown() const;
  };

  Arguments();
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  void flag(const std::string& names, bool& target, std::string help);

  /// A flag that says more each time it is given: -v, -vv.
  void counter(const std::string& names, int& target, std::string help);

  /// `set` is called once for each time the option is given, in order; it may throw Error(usage).
  void value(const std::string& names, std::string_view placeholder,
             std::function<void(const std::string&)> set, std::string help);

  /// A value that is one of `choices`; others are refused.
  void choice(const std::string& names, std::string_view placeholder,
              std::vector<std::string> choices, std::function<void(const std::string&)> set,
              std::string help);

  /// Whether the long name is declared: what a command calls its own stands before what is every
  /// command's.
  [[nodiscard]] bool knows(const std::string& name) const;

  /// Options anywhere among the operands.
  /// @throws Error(usage) for unknown options and missing values.
  void parse(const std::vector<std::string>& words);

  /// Options before the first operand; from there on nothing is looked at.
  void parse_leading(const std::vector<std::string>& words);

  /// After parse(): the operands; after parse_leading(): all words from the first operand on.
  [[nodiscard]] const std::vector<std::string>& operands() const noexcept { return operands_; }

  [[nodiscard]] const std::vector<Row>& rows() const noexcept { return rows_; }

 private:
  struct Option;
  struct Parser;

  void add_flag(const std::string& names, std::function<void()> given, std::string help);
  void add_row(const std::string& names, std::string_view placeholder, std::string help);
  void run(std::vector<std::string> words);

  std::unique_ptr<Parser> parser_;
  std::vector<Row> rows_;
  std::vector<std::string> operands_;
};

/// @throws Error(usage) "option '--memory': 'x' is not <expected>"
[[noreturn]] void refuse_value(const char* option, const std::string& text,
                               const std::string& expected);

}  // namespace pyro::cli
