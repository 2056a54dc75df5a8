// Text in protocols: ASCII letters, base64, sizes.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace pyro {

// --- ASCII alone, in every locale ---

[[nodiscard]] constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
[[nodiscard]] constexpr bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
[[nodiscard]] constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
[[nodiscard]] constexpr bool is_alnum(char c) {
  return is_digit(c) || is_lower(c) || is_upper(c);
}
[[nodiscard]] constexpr bool is_one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}
[[nodiscard]] constexpr bool all_are(std::string_view text, bool (*is)(char)) {
  return std::ranges::all_of(text, is);
}
/// Visible: neither a space nor a control character, and not beyond ASCII.
[[nodiscard]] constexpr bool is_graphic(char c) {
  return c > ' ' && c < '\x7f';
}

[[nodiscard]] constexpr char to_lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

[[nodiscard]] inline std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = to_lower(c);
  return lower;
}

/// The front of `text` up to the next `end`, or all of it. Both are taken off.
[[nodiscard]] constexpr std::string_view take_field(std::string_view& text, char end) {
  const std::string_view field = text.substr(0, text.find(end));
  text.remove_prefix(field.size() < text.size() ? field.size() + 1 : text.size());
  return field;
}

/// Without spaces and tabs at both ends.
[[nodiscard]] constexpr std::string_view trim(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

/// A name as messages show it: in quotes, cut at 400 bytes and at a zero byte, where what() ends.
[[nodiscard]] std::string in_quotes(std::string_view name);

/// "64 MiB": whole ones, rounded down.
[[nodiscard]] inline std::string mib(std::uint64_t bytes) {
  return std::to_string(bytes >> 20) + " MiB";
}

/// The decimal number that all of `text` is; nothing for other text, and beyond the type's range.
template <typename Number>
[[nodiscard]] std::optional<Number> number_in(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// Decodes the %XX of a URL; leaves other text as it is.
[[nodiscard]] std::string percent_decode(std::string_view text);

/// Removes the first component and its slash from `path`.
[[nodiscard]] std::string_view take_component(std::string_view& path);

/// How many letters to insert, remove, replace or swap with their neighbour to make `a` into `b`.
[[nodiscard]] std::size_t alignment_distance(std::string_view a, std::string_view b);

// --- base64: RFC 4648 section 4; up to 1 GiB ---

[[nodiscard]] std::string base64_encode(std::string_view bytes);

/// Nothing unless all of `text` is base64; padding may be missing.
[[nodiscard]] std::optional<std::string> base64_decode(std::string_view text);

}  // namespace pyro
