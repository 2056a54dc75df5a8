// Text for people: escaping, columns, sizes and times.
#include "front/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <ctime>
#include <functional>
#include <iterator>

namespace pyro {
namespace {

struct Character {
  std::uint32_t code = 0;
  std::size_t length = 0;  ///< In bytes; 0 where the text is not UTF-8.
};

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

std::size_t length_by_first_byte(unsigned char first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  if (first >= 0xf0 && first < 0xf5) return 4;
  return 0;
}

Character decode(std::string_view text) {
  static constexpr std::uint32_t kMinByLength[] = {0, 0, 0x80, 0x800, 0x10000};
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t length = length_by_first_byte(first);
  if (length == 1) return {first, 1};
  if (length == 0 || length > text.size()) return {};
  std::uint32_t code = first & (0xffU >> (length + 1));
  for (const char c : text.substr(1, length - 1)) {
    if (!is_continuation(c)) return {};
    code = code << 6 | (static_cast<unsigned char>(c) & 0x3f);
  }
  const bool is_surrogate = code >= 0xd800 && code < 0xe000;
  if (code < kMinByLength[length] || code > 0x10ffff || is_surrogate) return {};
  return {code, length};
}

bool is_harmful(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) ||       // C0, DEL, C1
         code == 0x2028 || code == 0x2029 ||                   // line separators
         code == 0x200e || code == 0x200f || code == 0x61c ||  // marks of direction
         (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

std::string escape(std::uint32_t code) {
  switch (code) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return code < 0x100 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{:04x}", code);
  }
}

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

/// The factor of a suffix like "GiB"; nothing for an unknown one.
std::optional<double> factor_of(std::string_view suffix) {
  if (suffix.empty()) return std::nullopt;
  if (suffix == "B" || suffix == "b") return 1;
  constexpr std::string_view kLetters = "kmgtp";
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  std::string rest;
  for (const char c : suffix.substr(1)) rest += lower(c);
  const std::size_t power = kLetters.find(lower(suffix.front()));
  if (power == kLetters.npos || (!rest.empty() && rest != "b" && rest != "ib")) return std::nullopt;
  return std::pow(rest == "b" ? 1000.0 : kKibi, static_cast<double>(power + 1));
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const Character character = decode(text);
    const std::size_t length = std::max<std::size_t>(character.length, 1);
    if (character.length == 0) {
      result += escape(static_cast<unsigned char>(text.front()));
    } else if (is_harmful(character.code)) {
      result += escape(character.code);
    } else {
      result += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return result;
}

std::string printable_json(std::string document) {
  const auto might_be = [](char c) { return static_cast<unsigned char>(c) >= 0x7f; };
  if (std::ranges::none_of(document, might_be)) return document;
  std::string result;
  for (std::string_view rest = document; !rest.empty();) {
    const Character character = decode(rest);
    const std::size_t length = std::max<std::size_t>(character.length, 1);
    if (character.code >= 0x7f && is_harmful(character.code)) {
      result += fmt::format("\\u{:04x}", character.code);
    } else {
      result += rest.substr(0, length);
    }
    rest.remove_prefix(length);
  }
  return result;
}

std::size_t utf8_prefix(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t length = decode(text.substr(at)).length;
    if (length == 0) break;
    at += length;
  }
  return at;
}

std::size_t columns_of(std::string_view text) noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(text, std::not_fn(is_continuation)));
}

std::string cut_to(std::string_view text, std::size_t columns, std::string_view mark) {
  if (columns_of(text) <= columns) return std::string(text);
  const std::size_t mark_columns = columns_of(mark);
  if (columns < mark_columns) return {};
  std::size_t kept = 0;
  auto end = text.begin();
  while (end != text.end()) {
    if (!is_continuation(*end) && kept++ == columns - mark_columns) break;
    ++end;
  }
  return std::string(text.begin(), end).append(mark);
}

std::string wrap(std::string_view text, std::size_t begin, std::size_t indent, std::size_t width) {
  std::string result(text.substr(0, text.find(' ')));
  text.remove_prefix(result.size());
  std::size_t used = begin + columns_of(result);
  while (!text.empty()) {
    text.remove_prefix(1);
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    const bool fits = used + 1 + columns_of(word) <= width;
    used = (fits ? used + 1 : indent) + columns_of(word);
    result.append(fits ? " " : '\n' + std::string(indent, ' ')).append(word);
  }
  return result;
}

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

std::optional<std::uint64_t> parse_size(std::string_view text, std::uint64_t unit) {
  const std::size_t end = text.find_first_not_of("0123456789.");
  const auto number = parse_number(text.substr(0, end));
  std::string_view suffix = end == text.npos ? std::string_view() : text.substr(end);
  const auto factor = suffix.empty() ? std::optional(static_cast<double>(unit))
                                     : factor_of(suffix.substr(suffix.front() == ' ' ? 1 : 0));
  if (!number || !factor) return std::nullopt;
  constexpr double kTooLarge = 9223372036854775808.0;  // 2^63: a file's size is signed.
  const double bytes = std::floor(*number * *factor);
  if (bytes < 1 || bytes >= kTooLarge) return std::nullopt;
  return static_cast<std::uint64_t>(bytes);
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text,
                                                        std::chrono::seconds unit) {
  constexpr std::string_view kUnitLetters = "smhdw";
  constexpr std::int64_t kSecondsIn[] = {1, 60, 3600, 86400, 7 * 86400};
  constexpr double kMaxNumber = 1e9;
  constexpr double kMaxSeconds = 100.0 * 365 * 86400;  // Added to a clock, it must not overflow.
  if (text.empty()) return std::nullopt;
  std::int64_t factor = unit.count();
  if (const std::size_t at = kUnitLetters.find(text.back()); at != kUnitLetters.npos) {
    factor = kSecondsIn[at];
    text.remove_suffix(1);
  }
  const auto number = parse_number(text);
  if (!number || *number > kMaxNumber) return std::nullopt;
  const double seconds = std::min(*number * static_cast<double>(factor), kMaxSeconds);
  return std::chrono::milliseconds(std::llround(seconds * 1000));
}

std::string format_age(std::chrono::seconds age) {
  const auto seconds = age.count();
  if (seconds < 60) return "just now";
  if (seconds < 3600) return fmt::format("{} min ago", seconds / 60);
  if (seconds < 2 * 86400) return fmt::format("{} h ago", seconds / 3600);
  return fmt::format("{} d ago", seconds / 86400);
}

std::string format_age(std::chrono::system_clock::time_point time) {
  return format_age(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - time));
}

std::string format_time(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::optional<int> parse_count(std::string_view text) {
  constexpr int kMax = 1000;
  int value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || value < 0 || value > kMax) return std::nullopt;
  return value;
}

}  // namespace pyro
