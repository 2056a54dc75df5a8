// Which catalog versions an entry is for.
#include "catalog/version_range.h"

#include <array>
#include <charconv>
#include <compare>
#include <utility>

#include "base/ascii.h"

namespace pyro {
namespace {

/// Calls `each` for the pieces between separators until it returns false.
template <typename Each>
bool for_each_part(std::string_view text, char separator, Each each) {
  for (;;) {
    const std::size_t end = text.find(separator);
    if (!each(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const char* const end = text.data() + text.size();
  if (text.empty() || !all_are(text, is_digit)) return std::nullopt;
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<VersionRange::Version> VersionRange::parse_version(std::string_view text) {
  Version version;
  const bool good = for_each_part(text, '.', [&](std::string_view part) {
    const auto number = parse_number(part);
    version.push_back(number.value_or(0));
    return number.has_value();
  });
  if (!good) return std::nullopt;
  // 4.5 and 4.5.0 are one version.
  while (!version.empty() && version.back() == 0) version.pop_back();
  return version;
}

std::optional<VersionRange::Condition> VersionRange::parse_condition(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, Operator>, 6> kOperators{{
      {">=", Operator::at_least},
      {"<=", Operator::at_most},
      {"==", Operator::equal},
      {"!=", Operator::not_equal},
      {">", Operator::above},
      {"<", Operator::below},
  }};
  text = trim(text);
  for (const auto& [symbol, op] : kOperators) {
    if (!text.starts_with(symbol)) continue;
    auto version = parse_version(trim(text.substr(symbol.size())));
    if (!version) return std::nullopt;
    return Condition{op, std::move(*version)};
  }
  return std::nullopt;
}

std::optional<VersionRange> VersionRange::parse(std::string_view text) {
  VersionRange range;
  const bool good = for_each_part(text, ',', [&](std::string_view part) {
    auto condition = parse_condition(part);
    if (condition) range.conditions_.push_back(std::move(*condition));
    return condition.has_value();
  });
  if (!good) return std::nullopt;
  return range;
}

bool VersionRange::holds(const Condition& condition, const Version& version) {
  const std::strong_ordering order = version <=> condition.version;
  switch (condition.op) {
    case Operator::at_least:
      return order >= 0;
    case Operator::above:
      return order > 0;
    case Operator::at_most:
      return order <= 0;
    case Operator::below:
      return order < 0;
    case Operator::equal:
      return order == 0;
    case Operator::not_equal:
      return order != 0;
  }
  return false;
}

bool VersionRange::contains(std::string_view text) const {
  const auto version = parse_version(text);
  if (!version) return false;
  return std::ranges::all_of(
      conditions_, [&](const Condition& condition) { return holds(condition, *version); });
}

}  // namespace pyro
