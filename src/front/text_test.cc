// Tests of text for people.
#include "front/text.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

using namespace std::string_view_literals;

TEST(Printable, EscapesControlAndDirectionCharacters) {
  struct Case {
    std::string_view text;
    std::string_view shown;
  };
  constexpr Case kCases[] = {
      {"plain text"sv, "plain text"},
      {"\x1b[31mred\x07"sv, "\\x1b[31mred\\x07"},
      {"a\nb\r\tc\0d"sv, "a\\nb\\r\\tc\\x00d"},
      {"\x7f"sv, "\\x7f"},
      {"D\xc3\xa9"sv, "D\xc3\xa9"},
      {"\xc2\x9b"sv, "\\x9b"},                // CSI in one character
      {"\xff\xc3"sv, "\\xff\\xc3"},           // not UTF-8
      {"\xc0\x80"sv, "\\xc0\\x80"},           // overlong
      {"\xed\xa0\x80"sv, "\\xed\\xa0\\x80"},  // a surrogate
      {"\xe2\x80\xae"sv, "\\u202e"},          // turns the direction
      {"\xf0\x9f\x90\xa7"sv, "\xf0\x9f\x90\xa7"},
      {"\xf0\x9f"sv, "\\xf0\\x9f"},
  };
  for (const Case& c : kCases) EXPECT_EQ(printable(c.text), c.shown);
}

TEST(Printable, TruncatesByColumns) {
  EXPECT_EQ(columns_of("D\xc3\xa9"), 2U);
  EXPECT_EQ(cut_to("abcdef", 6, "..."), "abcdef");
  EXPECT_EQ(cut_to("abcdef", 5, "..."), "ab...");
  EXPECT_EQ(cut_to("abcdef", 3, "\xe2\x80\xa6"), "ab\xe2\x80\xa6");
  EXPECT_EQ(cut_to("\xc3\xa9\xc3\xa9\xc3\xa9", 2, "."), "\xc3\xa9.");
  EXPECT_EQ(cut_to("abc", 1, "..."), "");
  EXPECT_EQ(cut_to("abc", 0, ""), "");
}

TEST(Printable, WrapsBetweenWords) {
  struct Case {
    std::string_view text;
    std::size_t begin;
    std::size_t width;
    std::string_view lines;
  };
  constexpr std::size_t kIndent = 2;
  constexpr Case kCases[] = {
      {"", 2, 10, ""},
      {"one", 2, 10, "one"},
      {"one two", 2, 9, "one two"},
      {"one two", 2, 8, "one\n  two"},
      {"one two", 3, 9, "one\n  two"},
      {"one two three four", 2, 10, "one two\n  three\n  four"},
      {"D\xc3\xa9 \xc3\xa9\xc3\xa9", 2, 7, "D\xc3\xa9 \xc3\xa9\xc3\xa9"},
      {"/longer/than/a/line", 2, 10, "/longer/than/a/line"},
      {"in /longer/than/a/line it is", 2, 10, "in\n  /longer/than/a/line\n  it is"},
      {"one two", 20, 10, "one\n  two"},
      {"two  gaps", 2, 12, "two  gaps"},
  };
  for (const Case& c : kCases) EXPECT_EQ(wrap(c.text, c.begin, kIndent, c.width), c.lines);
}

TEST(Utf8Prefix, EndsBeforeIncompleteCharacter) {
  const std::string text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d";
  for (const std::size_t end : {0, 1, 3, 6, 10}) EXPECT_EQ(utf8_prefix(text.substr(0, end)), end);
  EXPECT_EQ(utf8_prefix(text.substr(0, 2)), 1u);
  EXPECT_EQ(utf8_prefix(text.substr(0, 9)), 6u);
  EXPECT_EQ(utf8_prefix("ab\xff"
                        "cd"),
            2u);
}

using namespace std::chrono_literals;

TEST(Sizes, FormatsSizes) {
  EXPECT_EQ(format_size(0), "0 B");
  EXPECT_EQ(format_size(1023), "1023 B");
  EXPECT_EQ(format_size(1024), "1 KiB");
  EXPECT_EQ(format_size(1047551), "1023 KiB");
  EXPECT_EQ(format_size(1048575), "1.0 MiB");
  EXPECT_EQ(format_size((std::uint64_t{1} << 30) - 1), "1.0 GiB");
  EXPECT_EQ(format_size((std::uint64_t{1} << 30) - (60 << 10)), "1023.9 MiB");
  EXPECT_EQ(format_size(std::uint64_t{2000} << 40), "2000.0 TiB");
  EXPECT_EQ(format_size(std::uint64_t{352} << 20), "352.0 MiB");
  EXPECT_EQ(format_size((std::uint64_t{5} << 30) / 4), "1.2 GiB");
  EXPECT_EQ(format_size(std::uint64_t{3} << 40), "3.0 TiB");
  EXPECT_EQ(format_part(0, std::uint64_t{350} << 20), "0.0 of 350.0 MiB");
  EXPECT_EQ(format_part(std::uint64_t{512} << 20, std::uint64_t{2} << 30), "0.5 of 2.0 GiB");
}

TEST(Sizes, FormatsDurations) {
  EXPECT_EQ(format_duration(420ms), "0.4 s");
  EXPECT_EQ(format_duration(3s), "3 s");
  EXPECT_EQ(format_duration(12.4s), "12 s");
  EXPECT_EQ(format_duration(185s), "3 min 5 s");
  EXPECT_EQ(format_duration(130min), "2 h 10 min");
}

TEST(Sizes, ParsesDurations) {
  EXPECT_EQ(parse_duration("30"), 30s);
  EXPECT_EQ(parse_duration("0.25"), 250ms);
  EXPECT_EQ(parse_duration("0"), 0s);
  EXPECT_EQ(parse_duration("0s"), 0s);
  EXPECT_EQ(parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(parse_duration("90m"), 90min);
  EXPECT_EQ(parse_duration("12h"), 12h);
  EXPECT_EQ(parse_duration("30d"), 24h * 30);
  EXPECT_EQ(parse_duration("2w"), 24h * 14);
  EXPECT_EQ(parse_duration("30", 24h), 24h * 30);
  EXPECT_EQ(parse_duration("30s", 24h), 30s);
  EXPECT_EQ(parse_duration("1000000000w"), 24h * 365 * 100);
  for (const char* text :
       {"", "d", "s", "30 d", "-1d", "-1", "-0", "+1d", "1d12h", "1y", "1D", "1ms", "inf", "1e3",
        "99999999999999999999d", "1000000001s", "99999999999", "0x1d", "1..5s"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(Sizes, FormatsAges) {
  EXPECT_EQ(format_age(5s), "just now");
  EXPECT_EQ(format_age(-5s), "just now");
  EXPECT_EQ(format_age(59min), "59 min ago");
  EXPECT_EQ(format_age(47h), "47 h ago");
  EXPECT_EQ(format_age(24h * 30), "30 d ago");
}

TEST(Sizes, FormatsTimes) {
  const std::chrono::system_clock::time_point epoch;
  EXPECT_EQ(format_time(epoch), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_time(epoch + 1'700'000'000s), "2023-11-14T22:13:20Z");
}

TEST(Sizes, ParsesSizes) {
  struct Case {
    const char* text;
    std::optional<std::uint64_t> bytes;
  };
  constexpr std::uint64_t kOne = 1;
  constexpr Case kCases[] = {
      {"64GiB", kOne << 36},
      {"64G", kOne << 36},
      {"64 gib", kOne << 36},
      {"1.5TiB", (kOne << 40) / 2 * 3},
      {"500MB", 500'000'000},
      {"1KiB", 1024},
      {"68719476736", 68719476736},
      {"7B", 7},
      {"", std::nullopt},
      {"0", std::nullopt},
      {"GiB", std::nullopt},
      {"-1", std::nullopt},
      {"+1", std::nullopt},
      {"1e9", std::nullopt},
      {"64GiBx", std::nullopt},
      {"64XB", std::nullopt},
      {"1..5G", std::nullopt},
      {"8192PiB", std::nullopt},
      {"99999999999999999999", std::nullopt},
      {"nan", std::nullopt},
      {"64  GiB", std::nullopt},
      {"0.1", std::nullopt},
  };
  for (const Case& c : kCases) EXPECT_EQ(parse_size(c.text), c.bytes) << c.text;
}

TEST(Sizes, BareNumberCountsUnits) {
  EXPECT_EQ(parse_size("512", std::uint64_t{1} << 20), std::uint64_t{512} << 20);
  EXPECT_EQ(parse_size("512B", std::uint64_t{1} << 20), 512U);
  EXPECT_EQ(parse_size("2G", std::uint64_t{1} << 20), std::uint64_t{2} << 30);
  EXPECT_EQ(parse_size("512 ", std::uint64_t{1} << 20), std::nullopt);
}

}  // namespace
}  // namespace pyro
