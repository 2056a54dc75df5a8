// Text for people: escaping, columns, sizes and times.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

/// Returns `text` with everything escaped that could move a cursor, end a line or turn the reading
/// direction: control characters, bytes that are not UTF-8, bidirectional overrides.
[[nodiscard]] std::string printable(std::string_view text);

/// Returns an equivalent JSON document with the same characters as JSON escapes. `document` must be
/// valid JSON.
[[nodiscard]] std::string printable_json(std::string document);

/// The length in bytes of the longest prefix that is valid UTF-8.
[[nodiscard]] std::size_t utf8_prefix(std::string_view text) noexcept;

/// The columns of printable text: one for each character.
[[nodiscard]] std::size_t columns_of(std::string_view text) noexcept;

/// Returns the first `columns` columns of printable text; a text that is cut ends with `mark`.
[[nodiscard]] std::string cut_to(std::string_view text, std::size_t columns, std::string_view mark);

/// Breaks printable text that begins at column `begin` between words, so that lines end before
/// column `width`; further lines are indented by `indent`. Words are not broken: paths can still be
/// copied.
[[nodiscard]] std::string wrap(std::string_view text, std::size_t begin, std::size_t indent,
                               std::size_t width);

/// "0 B", "12 KiB", "352.0 MiB", "1.2 GiB".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// "35.0 of 350.1 MiB": both in the unit of the second.
[[nodiscard]] std::string format_part(std::uint64_t part, std::uint64_t whole);

/// "0.4 s", "3 s", "12 s", "3 min 5 s", "2 h 10 min".
[[nodiscard]] std::string format_duration(std::chrono::duration<double> duration);

/// "64GiB", "1.5 TiB", "500MB", "10G", "512". A letter alone or with "iB" is a power of 1024, with
/// "B" a power of 1000; a bare number counts `unit`s. Nothing for other texts, zero, and sizes of
/// 2^63 and above.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text,
                                                      std::uint64_t unit = 1);

/// "30", "0.5s", "90m", "12h", "30d", "2w": a bare number counts `unit`s. Nothing for other texts.
/// At most 100 years.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_duration(
    std::string_view text, std::chrono::seconds unit = std::chrono::seconds(1));

/// "just now", "5 min ago", "3 h ago", "12 d ago".
[[nodiscard]] std::string format_age(std::chrono::seconds age);
/// Of what was at that time.
[[nodiscard]] std::string format_age(std::chrono::system_clock::time_point time);

/// "2026-11-24T03:51:56Z" (RFC 3339).
[[nodiscard]] std::string format_time(std::chrono::system_clock::time_point time);

/// "5": not negative, at most 1000.
[[nodiscard]] std::optional<int> parse_count(std::string_view text);

}  // namespace pyro
