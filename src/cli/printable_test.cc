// Tests of text made safe to show.
#include "cli/printable.h"

#include <gtest/gtest.h>

namespace pyro::cli {
namespace {

using namespace std::string_view_literals;

TEST(Printable, EscapesWhatCouldActOnATerminal) {
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

TEST(Printable, CutsByColumns) {
  EXPECT_EQ(columns_of("D\xc3\xa9"), 2U);
  EXPECT_EQ(cut_to("abcdef", 6, "..."), "abcdef");
  EXPECT_EQ(cut_to("abcdef", 5, "..."), "ab...");
  EXPECT_EQ(cut_to("abcdef", 3, "\xe2\x80\xa6"), "ab\xe2\x80\xa6");
  EXPECT_EQ(cut_to("\xc3\xa9\xc3\xa9\xc3\xa9", 2, "."), "\xc3\xa9.");
  EXPECT_EQ(cut_to("abc", 1, "..."), "");
  EXPECT_EQ(cut_to("abc", 0, ""), "");
}

TEST(Printable, IsWrappedBetweenWords) {
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

TEST(Utf8Prefix, EndsBeforeWhatIsNoWholeCharacter) {
  const std::string text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8d";
  for (const std::size_t end : {0, 1, 3, 6, 10}) EXPECT_EQ(utf8_prefix(text.substr(0, end)), end);
  EXPECT_EQ(utf8_prefix(text.substr(0, 2)), 1u);
  EXPECT_EQ(utf8_prefix(text.substr(0, 9)), 6u);
  EXPECT_EQ(utf8_prefix("ab\xff"
                        "cd"),
            2u);
}

}  // namespace
}  // namespace pyro::cli
