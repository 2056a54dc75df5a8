// Version ranges: ">=4.5.0,<5.0.0".
#include <array>
#include <charconv>
#include <compare>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/text.h"
#include "catalog/names.h"

namespace pyro {
namespace {

using Version = std::vector<std::uint32_t>;

/// Numbers and dots. Trailing zeros are dropped: 4.5 and 4.5.0 are one version.
std::optional<Version> parse_version(std::string_view text) {
  Version version;
  for (std::size_t start = 0; start <= text.size();) {
    const std::string_view part = text.substr(start, text.find('.', start) - start);
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (error != std::errc{} || end != part.data() + part.size()) return std::nullopt;
    version.push_back(number);
    start += part.size() + 1;
  }
  while (!version.empty() && version.back() == 0) version.pop_back();
  return version;
}

/// Whether `version` meets a condition like ">=4.5.0"; nothing when it is not of that form.
std::optional<bool> meets(const Version& version, std::string_view condition) {
  using Order = std::strong_ordering;
  static constexpr std::array<std::pair<std::string_view, bool (*)(Order)>, 6> kOperators{{
      {">=", [](Order order) { return order >= 0; }},
      {"<=", [](Order order) { return order <= 0; }},
      {"==", [](Order order) { return order == 0; }},
      {"!=", [](Order order) { return order != 0; }},
      {">", [](Order order) { return order > 0; }},
      {"<", [](Order order) { return order < 0; }},
  }};
  condition = trim(condition);
  for (const auto& [symbol, holds] : kOperators) {
    if (!condition.starts_with(symbol)) continue;
    const auto other = parse_version(trim(condition.substr(symbol.size())));
    if (!other) return std::nullopt;
    return holds(version <=> *other);
  }
  return std::nullopt;
}

}  // namespace

std::optional<bool> version_in_range(std::string_view text, std::string_view range) {
  const auto version = parse_version(text);
  bool is_contained = version.has_value();
  for (;;) {
    const std::size_t comma = range.find(',');
    const auto is_met = meets(version.value_or(Version()), range.substr(0, comma));
    if (!is_met) return std::nullopt;
    is_contained = is_contained && *is_met;
    if (comma == range.npos) return is_contained;
    range.remove_prefix(comma + 1);
  }
}

}  // namespace pyro
