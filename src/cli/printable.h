// Text from anywhere, made safe to show.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pyro::cli {

/// `text` with everything escaped that could move a cursor, end a line or turn the reading
/// direction: control characters, bytes that are not UTF-8, bidirectional overrides.
[[nodiscard]] std::string printable(std::string_view text);

/// The text of a JSON document with the same characters as escapes: it says the same. It must be
/// UTF-8 without control characters within strings, as JSON is.
[[nodiscard]] std::string printable_json(std::string document);

/// How many bytes at its beginning are whole characters of UTF-8: all of them where it is text.
[[nodiscard]] std::size_t utf8_prefix(std::string_view text) noexcept;

/// How many columns printable text takes, one for each character.
[[nodiscard]] std::size_t columns_of(std::string_view text) noexcept;

/// The first `columns` columns of printable text, the last of them `mark` when something was cut.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns, std::string_view mark);

/// Printable text that begins at column `begin`, broken between words so that it ends before column
/// `width`; its further lines begin at `indent`. No word is broken: paths can still be copied.
[[nodiscard]] std::string wrap(std::string_view text, std::size_t begin, std::size_t indent,
                               std::size_t width);

}  // namespace pyro::cli
