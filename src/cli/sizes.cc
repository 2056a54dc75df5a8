// Sizes and durations as people write and read them.
#include "cli/sizes.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <ctime>
#include <iterator>
#include <string>

namespace pyro::cli {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
  int decimals;
};

constexpr double kKibi = 1024;
constexpr Unit kUnits[] = {
    {"B", 1, 0},
    {"KiB", kKibi, 0},
    {"MiB", kKibi* kKibi, 1},
    {"GiB", kKibi* kKibi* kKibi, 1},
    {"TiB", kKibi* kKibi* kKibi* kKibi, 1},
};

std::string in_unit(std::uint64_t bytes, const Unit& unit) {
  return fmt::format("{:.{}f}", static_cast<double>(bytes) / unit.bytes, unit.decimals);
}

/// The first unit that leaves a number below 1024, as it will be shown.
const Unit& unit_for(std::uint64_t bytes) {
  for (const Unit& unit : kUnits) {
    const bool is_below = static_cast<double>(bytes) < kKibi * unit.bytes;
    if (is_below && !in_unit(bytes, unit).starts_with("1024")) return unit;
  }
  return *std::prev(std::end(kUnits));
}

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, std::chars_format::fixed);
  if (error != std::errc{} || stop != end || !std::isfinite(value) || std::signbit(value)) {
    return std::nullopt;
  }
  return value;
}

/// What a suffix like "GiB" multiplies with; nothing when it is none.
std::optional<double> factor_of(std::string_view suffix) {
  if (suffix.empty() || suffix == "B" || suffix == "b") return 1;
  constexpr std::string_view kLetters = "kmgtp";
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::string rest;
  for (const char c : suffix.substr(1)) rest += lower(c);
  const std::size_t power = kLetters.find(lower(suffix.front()));
  if (power == kLetters.npos || (!rest.empty() && rest != "b" && rest != "ib")) return std::nullopt;
  return std::pow(rest == "b" ? 1000.0 : kKibi, static_cast<double>(power + 1));
}

}  // namespace

std::string format_size(std::uint64_t bytes) {
  const Unit& unit = unit_for(bytes);
  return fmt::format("{} {}", in_unit(bytes, unit), unit.name);
}

std::string format_part(std::uint64_t part, std::uint64_t whole) {
  const Unit& unit = unit_for(whole);
  return fmt::format("{} of {} {}", in_unit(part, unit), in_unit(whole, unit), unit.name);
}

std::string format_duration(std::chrono::duration<double> duration) {
  const double seconds = duration.count();
  if (seconds < 10 && seconds != std::floor(seconds)) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::uint64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const std::size_t end = text.find_first_not_of("0123456789.");
  const auto number = parse_number(text.substr(0, end));
  std::string_view suffix = end == text.npos ? std::string_view() : text.substr(end);
  if (suffix.starts_with(' ')) suffix.remove_prefix(1);
  const auto factor = factor_of(suffix);
  if (!number || !factor) return std::nullopt;
  constexpr double kTooLarge = 9223372036854775808.0;  // 2^63: a file's size is signed.
  const double bytes = std::floor(*number * *factor);
  if (bytes < 1 || bytes >= kTooLarge) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

std::optional<std::chrono::seconds> parse_age(std::string_view text) {
  constexpr std::string_view kUnitsOfTime = "smhdw";
  constexpr std::int64_t kSecondsIn[] = {1, 60, 3600, 86400, 7 * 86400};
  constexpr std::int64_t kMost = 1'000'000'000;  // of any unit
  if (text.empty()) return std::nullopt;
  const std::size_t unit = kUnitsOfTime.find(text.back());
  std::int64_t value = 0;
  const char* const end = text.data() + text.size() - 1;
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (unit == kUnitsOfTime.npos || error != std::errc() || rest != end || value < 0 ||
      value > kMost) {
    return std::nullopt;
  }
  return std::chrono::seconds(value * kSecondsIn[unit]);
}

std::string format_age(std::chrono::seconds age) {
  const auto seconds = age.count();
  if (seconds < 60) return "just now";
  if (seconds < 3600) return fmt::format("{} min ago", seconds / 60);
  if (seconds < 2 * 86400) return fmt::format("{} h ago", seconds / 3600);
  return fmt::format("{} d ago", seconds / 86400);
}

std::string format_time(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::optional<std::chrono::milliseconds> parse_seconds(std::string_view text) {
  constexpr double kTooLong = 1e9;  // Thirty years.
  const auto seconds = parse_number(text);
  if (!seconds || *seconds > kTooLong) return std::nullopt;
  return std::chrono::milliseconds(std::llround(*seconds * 1000));
}

std::optional<int> parse_count(std::string_view text) {
  constexpr int kMost = 1000;
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value < 0 || value > kMost) return std::nullopt;
  return value;
}

}  // namespace pyro::cli
