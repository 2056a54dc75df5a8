// Sizes and durations as people write and read them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro::cli {

/// "0 B", "12 KiB", "352.0 MiB", "1.2 GiB".
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// "35.0 of 350.1 MiB": both in the unit of the second.
[[nodiscard]] std::string format_part(std::uint64_t part, std::uint64_t whole);

/// "0.4 s", "3 s", "12 s", "3 min 5 s", "2 h 10 min".
[[nodiscard]] std::string format_duration(std::chrono::duration<double> duration);

/// "64GiB", "1.5 TiB", "500MB", "10G", plain bytes. A letter alone or with "iB" is a power of
/// 1024, with "B" a power of 1000. Nothing when it is none of these, is zero or does not fit.
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);

/// "30d", "12h", "2w", "90m", "45s": a whole number and its unit.
[[nodiscard]] std::optional<std::chrono::seconds> parse_age(std::string_view text);

/// "just now", "5 min ago", "3 h ago", "12 d ago".
[[nodiscard]] std::string format_age(std::chrono::seconds age);

/// "2026-11-24T03:51:56Z" (RFC 3339).
[[nodiscard]] std::string format_time(std::chrono::system_clock::time_point time);

/// "30", "0.5": seconds, not negative.
[[nodiscard]] std::optional<std::chrono::milliseconds> parse_seconds(std::string_view text);

/// "5": not negative, at most 1000.
[[nodiscard]] std::optional<int> parse_count(std::string_view text);

}  // namespace pyro::cli
