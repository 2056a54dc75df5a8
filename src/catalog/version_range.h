// Which catalog versions an entry is for: ">=4.5.0,<5.0.0".
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pyro {

/// Conditions joined by commas, each an operator (>=, >, <=, <, ==, !=) before a version of
/// numbers and dots; spaces around either do not count. Missing parts of a version are zeros.
class VersionRange {
 public:
  /// Nothing when `text` is not of that form.
  [[nodiscard]] static std::optional<VersionRange> parse(std::string_view text);

  /// Whether every condition holds for `version`, which must be numbers and dots.
  [[nodiscard]] bool contains(std::string_view version) const;

 private:
  enum class Operator { at_least, above, at_most, below, equal, not_equal };
  using Version = std::vector<std::uint32_t>;
  struct Condition {
    Operator op;
    Version version;
  };

  static std::optional<Version> parse_version(std::string_view text);
  static std::optional<Condition> parse_condition(std::string_view text);
  static bool holds(const Condition& condition, const Version& version);

  std::vector<Condition> conditions_;
};

}  // namespace pyro
