// Tests of options and operands.
#include "cli/arguments.h"

#include <gtest/gtest.h>

#include "pyro/error.h"

namespace pyro::cli {
namespace {

using Words = std::vector<std::string>;

/// The result for a command line with --json, -q, --dir and --catalog.
struct Parsed {
  bool json = false;
  bool quiet = false;
  std::string dir = {};
  Words catalogs = {};
  Words operands = {};
  std::string error = {};
  bool operator==(const Parsed&) const = default;
};

Parsed parse(const Words& words, void (Arguments::*how)(const Words&) = &Arguments::parse) {
  Parsed parsed;
  Arguments arguments;
  arguments.flag("--json", parsed.json, "");
  arguments.flag("-q,--quiet", parsed.quiet, "");
  arguments.value(
      "--dir", "DIR", [&](const std::string& text) { parsed.dir = text; }, "");
  arguments.value(
      "--catalog", "FILE", [&](const std::string& text) { parsed.catalogs.push_back(text); }, "");
  try {
    (arguments.*how)(words);
    parsed.operands = arguments.operands();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::usage);
    parsed.error = error.what();
  }
  return parsed;
}

TEST(Arguments, AllowsOptionsBetweenOperands) {
  EXPECT_EQ(parse({"a", "--json", "b", "-q"}),
            (Parsed{.json = true, .quiet = true, .operands = {"a", "b"}}));
  EXPECT_EQ(parse({"--dir", "x", "--dir=y"}).dir, "y");
  EXPECT_EQ(parse({}), Parsed{});
}

TEST(Arguments, OptionTakesExactlyOneValue) {
  const Parsed parsed = parse({"--catalog", "one", "name", "--catalog=two", "other"});
  EXPECT_EQ(parsed.catalogs, (Words{"one", "two"}));
  EXPECT_EQ(parsed.operands, (Words{"name", "other"}));
}

TEST(Arguments, KeepsValuesLiterally) {
  for (const char* value : {"a,b", "[a,b]", "{}", "a=b", "", " ", "-", "true", "%%"}) {
    EXPECT_EQ(parse({"--dir", value}).dir, value);
    EXPECT_EQ(parse({value}).operands, Words{value});
  }
}

TEST(Arguments, TreatsWordsAfterSeparatorAsOperands) {
  EXPECT_EQ(parse({"a", "--", "--json", "--", "-x", ""}),
            (Parsed{.operands = {"a", "--json", "--", "-x", ""}}));
}

TEST(Arguments, CountsRepeatedFlagInAllForms) {
  for (const auto& [words, times] : {std::pair<Words, int>{{}, 0},
                                     {{"-v"}, 1},
                                     {{"-vv"}, 2},
                                     {{"-v", "a", "--verbose"}, 2},
                                     {{"-vvv"}, 3}}) {
    int count = 0;
    Arguments arguments;
    arguments.counter("-v,--verbose", count, "");
    arguments.parse(words);
    EXPECT_EQ(count, times);
  }
}

TEST(Arguments, RejectsUnknownOptionsAndMissingValues) {
  EXPECT_EQ(parse({"--jsn"}).error, "unknown option '--jsn'");
  EXPECT_EQ(parse({"a", "-x", "b"}).error, "unknown option '-x'");
  EXPECT_EQ(parse({"-5"}).error, "unknown option '-5'");
  EXPECT_EQ(parse({"a", "--dir"}).error, "option '--dir' needs a value");
  EXPECT_EQ(parse({"--dir", "--", "a"}).error, "option '--dir' needs a value");
  EXPECT_EQ(parse({"--dir=", "a"}).error, "option '--dir' needs a value");
  EXPECT_EQ(parse({"--json=maybe"}).error, "option '--json' takes no value");
}

TEST(Arguments, CommandBeginsAtTheFirstWordBehindTheOperandsThatIsNoOption) {
  struct Case {
    Words words;
    Words operands;
    std::optional<Words> command;
  };
  const Case cases[] = {
      {{"name", "uname", "-a"}, {"name"}, Words{"uname", "-a"}},
      {{"name", "--json", "--dir", "x", "ls", "--json"}, {"name"}, Words{"ls", "--json"}},
      {{"name", "--", "ls", "--json"}, {"name"}, Words{"ls", "--json"}},
      {{"name", "ls", "--", "-q"}, {"name"}, Words{"ls", "--", "-q"}},
      {{"name", "--", "--", "x"}, {"name"}, Words{"--", "x"}},
      {{"name", ""}, {"name"}, Words{""}},
      {{"name", "[", "-f", "x", "]"}, {"name"}, Words{"[", "-f", "x", "]"}},
      {{"name", "-"}, {"name"}, Words{"-"}},
      {{"name", "--"}, {"name"}, Words{}},
      {{"name", "-q"}, {"name"}, std::nullopt},
      {{"--", "name", "ls"}, {}, Words{"name", "ls"}},
  };
  for (const Case& c : cases) {
    bool flag = false;
    std::string dir;
    Arguments arguments;
    arguments.flag("--json", flag, "");
    arguments.flag("-q,--quiet", flag, "");
    arguments.text("--dir", "DIR", dir, "");
    EXPECT_EQ(arguments.parse_before_command(c.words, 1), c.command)
        << ::testing::PrintToString(c.words);
    EXPECT_EQ(arguments.operands(), c.operands);
  }
}

TEST(Arguments, OptionalValueIsTakenOnlyFromItsChoices) {
  struct Case {
    Words words;
    std::string value;
    Words operands;
  };
  const Case cases[] = {
      {{"--network"}, "user", {}},
      {{"--network", "name"}, "user", {"name"}},
      {{"--network", "none", "name"}, "none", {"name"}},
      {{"--network=none", "name"}, "none", {"name"}},
      {{"--network", "--", "none"}, "user", {"none"}},
      {{"name", "--network", "--network=none"}, "none", {"name"}},
  };
  for (const Case& c : cases) {
    std::string value;
    Arguments arguments;
    arguments.choice(
        "--network", "[KIND]", {"none", "user"}, [&](const std::string& text) { value = text; }, "",
        "user");
    arguments.parse(c.words);
    EXPECT_EQ(value, c.value) << ::testing::PrintToString(c.words);
    EXPECT_EQ(arguments.operands(), c.operands);
  }
}

TEST(Arguments, UnknownOptionIsAnsweredWithTheNearestOne) {
  for (const auto& [word, hint] :
       {std::pair<const char*, const char*>{"--jsn", "did you mean '--json'?"},
        {"--cat", "did you mean '--catalog'?"},
        {"--catalgo=x", "did you mean '--catalog'?"},
        {"--frob", ""},
        {"-x", ""}}) {
    bool flag = false;
    std::string file;
    Arguments arguments;
    arguments.flag("--json", flag, "");
    arguments.text("--catalog", "FILE", file, "");
    try {
      arguments.parse({word});
      ADD_FAILURE() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.hint(), hint) << word;
    }
  }
}

TEST(NearestWord, IsAMisspellingOrAnAbbreviation) {
  const Words words = {"list", "inspect", "pull", "prune", "run"};
  for (const auto& [text, nearest] : {std::pair<const char*, const char*>{"lst", "list"},
                                      {"lits", "list"},
                                      {"ispect", "inspect"},
                                      {"insp", "inspect"},
                                      {"prnue", "prune"},
                                      {"rum", "run"},
                                      {"list", "list"},
                                      {"remove", ""},
                                      {"x", ""},
                                      {"", ""}}) {
    EXPECT_EQ(nearest_word(text, words), nearest) << text;
  }
  EXPECT_EQ(nearest_word(std::string(100'000, 'l'), words), "");
}

TEST(Arguments, LeadingOptionsEndAtFirstOperand) {
  const Parsed parsed =
      parse({"--dir", "x", "env", "--json", "--unknown", "--", "y"}, &Arguments::parse_leading);
  EXPECT_EQ(parsed, (Parsed{.dir = "x", .operands = {"env", "--json", "--unknown", "--", "y"}}));
  EXPECT_EQ(parse({"--unknown", "env"}, &Arguments::parse_leading).error,
            "unknown option '--unknown' before the command");
  EXPECT_EQ(parse({"--dir", "x"}, &Arguments::parse_leading).operands, Words{});
}

TEST(Arguments, RowsHaveNamesAsShownInHelp) {
  Arguments arguments;
  bool flag = false;
  arguments.flag("-q,--quiet", flag, "say nothing");
  arguments.value(
      "--dir", "DIR", [](const std::string&) {}, "where");
  ASSERT_EQ(arguments.rows().size(), 2U);
  EXPECT_EQ(arguments.rows()[0].shown(), "-q, --quiet");
  EXPECT_EQ(arguments.rows()[1].shown(), "    --dir DIR");
}

}  // namespace
}  // namespace pyro::cli
