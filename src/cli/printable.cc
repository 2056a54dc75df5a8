// Text from anywhere, made safe to show.
#include "cli/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <functional>

namespace pyro::cli {
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
  static constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
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
  if (code < kSmallest[length] || code > 0x10ffff || is_surrogate) return {};
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

}  // namespace pyro::cli
