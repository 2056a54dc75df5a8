// ASCII character classes that no locale changes.
#pragma once

#include <algorithm>
#include <string_view>

// Its own namespace, as net has functions of these names for its own use.
namespace pyro::inline catalog_characters {

constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
constexpr bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
constexpr bool is_alphanumeric(char c) {
  return is_digit(c) || is_lower(c) || is_upper(c);
}
constexpr bool is_one_of(char c, std::string_view set) {
  return set.find(c) != std::string_view::npos;
}
constexpr char to_lower(char c) {
  return is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
}

constexpr bool all_are(std::string_view text, bool (*is)(char)) {
  return std::ranges::all_of(text, is);
}

}  // namespace pyro::inline catalog_characters
