// Tests of the command line as far as it needs no store: finding the command, help, usage errors.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.h"
#include "support/captured_terminal.h"

namespace pyro::cli {
namespace {

struct Outcome {
  int code;
  std::string out;
  std::string err;
};

Outcome pyro(const std::vector<std::string>& words) {
  CapturedTerminal out;
  CapturedTerminal err;
  const Variables variables = [](const char*) { return std::nullopt; };
  const int code = run(words, variables, out.terminal(), err.terminal());
  return {code, out.take(), err.take()};
}

TEST(Cli, VersionOptionPrintsVersion) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"--version"},
                                                {"version"},
                                                {"env", "--version"},
                                                {"env", "pull", "--version"}}) {
    const Outcome outcome = pyro(words);
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.out, "pyro " PYRO_VERSION "\n");
    EXPECT_EQ(outcome.err, "");
  }
}

TEST(Cli, PrintsIntroductionWithoutArguments) {
  const Outcome alone = pyro({});
  EXPECT_EQ(alone.code, 0);
  EXPECT_NE(alone.out.find("\n  env         list, inspect, pull,"), std::string::npos);
  EXPECT_NE(alone.out.find("\n  run         Run a command"), std::string::npos);
}

TEST(Cli, IntroductionFitsAScreen) {
  std::istringstream lines(pyro({}).out);
  std::size_t count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(line.size(), 80U) << line;
  EXPECT_LT(count, 24U);
}

TEST(Cli, GroupAloneListsItsCommands) {
  const Outcome alone = pyro({"env"});
  EXPECT_EQ(alone.code, 0);
  EXPECT_NE(alone.out.find("\n  pull NAME..."), std::string::npos);
  EXPECT_EQ(alone.out.find("shell"), std::string::npos);
  EXPECT_EQ(pyro({"env", "--help"}).out, alone.out);
  EXPECT_EQ(pyro({"help", "env"}).out, alone.out);
  EXPECT_NE(pyro({"registry"}).out.find("\n  login HOST"), std::string::npos);
}

TEST(Cli, HelpIsACommand) {
  EXPECT_EQ(pyro({"help"}).out, pyro({"--help"}).out);
  EXPECT_EQ(pyro({"help", "run"}).out, pyro({"run", "--help"}).out);
  EXPECT_EQ(pyro({"help", "env", "pull"}).out, pyro({"env", "pull", "--help"}).out);
  EXPECT_EQ(pyro({"help", "nonsense"}).code, 2);
}

TEST(Cli, AliasesAreTheSameCommand) {
  EXPECT_EQ(pyro({"env", "ls", "--help"}).out, pyro({"env", "list", "--help"}).out);
  EXPECT_EQ(pyro({"env", "rm", "--help"}).out, pyro({"env", "remove", "--help"}).out);
}

TEST(Cli, HelpOfEveryCommandHasExamples) {
  for (const char* command :
       {"list", "inspect", "pull", "verify", "add", "remove", "prune", "du", "export", "import"}) {
    const Outcome outcome = pyro({"env", command, "--help"});
    EXPECT_EQ(outcome.code, 0) << command;
    EXPECT_NE(outcome.out.find(std::string("  pyro env ") + command + " [OPTIONS]"),
              std::string::npos);
    EXPECT_NE(outcome.out.find("\nExamples\n  "), std::string::npos) << command;
    EXPECT_NE(outcome.out.find("  --json"), std::string::npos) << command;
    EXPECT_NE(outcome.out.find("  --cache-dir DIR"), std::string::npos) << command;
    EXPECT_EQ(pyro({"env", command, "-h"}).out, outcome.out);
    EXPECT_EQ(pyro({"-h", "env", command}).out, outcome.out);
  }
  EXPECT_NE(pyro({"--help"}).out.find("\nExit codes\n"), std::string::npos);
}

TEST(Cli, UsageErrorsExit2WithHint) {
  struct Case {
    std::vector<std::string> words;
    const char* err;
  };
  const Case cases[] = {
      {{"evn"}, "pyro: error: unknown command 'evn'\n  hint: did you mean 'pyro env'?\n"},
      {{"pull"}, "pyro: error: unknown command 'pull'\n  hint: did you mean 'pyro env pull'?\n"},
      {{"rm", "a"}, "pyro: error: unknown command 'rm'\n  hint: did you mean 'pyro env remove'?\n"},
      {{"inspct"},
       "pyro: error: unknown command 'inspct'\n  hint: did you mean 'pyro env inspect'?\n"},
      {{"frobnicate"}, "pyro: error: unknown command 'frobnicate'\n  hint: see 'pyro --help'\n"},
      {{"env", "lst"},
       "pyro: error: unknown command 'env lst'\n  hint: did you mean 'pyro env list'?\n"},
      {{"env", "run"},
       "pyro: error: unknown command 'env run'\n  hint: did you mean 'pyro run'?\n"},
      {{"env", "frobnicate"},
       "pyro: error: unknown command 'env frobnicate'\n  hint: see 'pyro env --help'\n"},
      {{"env", "pull", "a", "--forse"},
       "pyro: error: unknown option '--forse'\n  hint: did you mean '--force'?\n"},
      {{"env", "pull"},
       "pyro: error: 'pyro env pull' needs a NAME\n  hint: see 'pyro env pull --help'\n"},
      {{"registry", "logout"},
       "pyro: error: 'pyro registry logout' needs a HOST\n  hint: see 'pyro registry logout "
       "--help'\n"},
      {{"env", "add", "mine"},
       "pyro: error: 'pyro env add' needs a SOURCE\n  hint: see 'pyro env add --help'\n"},
      {{"completion"},
       "pyro: error: 'pyro completion' needs one of bash|zsh|fish\n  hint: see 'pyro completion "
       "--help'\n"},
      {{"env", "inspect", "a", "b"},
       "pyro: error: unexpected argument 'b'\n  hint: see 'pyro env inspect --help'\n"},
      {{"env", "list", "--frob"},
       "pyro: error: unknown option '--frob'\n  hint: see 'pyro env list --help'\n"},
      {{"env", "pull", "a", "--catalog"},
       "pyro: error: option '--catalog' needs a value\n  hint: see 'pyro env pull --help'\n"},
      {{"env", "pull", "a", "--cache-dir", ""},
       "pyro: error: option '--cache-dir' needs a value\n  hint: see 'pyro env pull --help'\n"},
      {{"--json", "env", "list"},
       "pyro: error: unknown option '--json' before the command\n  hint: options of a command "
       "stand "
       "after it; see 'pyro --help'\n"},
      {{"env", "pull", "a", "--max-size", "big"},
       "pyro: error: option '--max-size': 'big' is not a size like 64GiB\n  hint: see 'pyro env "
       "pull "
       "--help'\n"},
      {{"env", "pull", "a", "--progress", "fancy"},
       "pyro: error: option '--progress': 'fancy' is not one of: auto, tty, plain, json, none\n  "
       "hint: see 'pyro env pull --help'\n"},
      {{"env", "pull", "a", "--lock-timeout=-1"},
       "pyro: error: option '--lock-timeout': '-1' is not a time like 90s, 5m or 12h\n  hint: see "
       "'pyro "
       "env "
       "pull --help'\n"},
      {{"env", "pull", "a", "--trust-realm", "https://b/"},
       "pyro: error: option '--trust-realm': 'https://b/' is not a host like auth.example.org\n  "
       "hint: see 'pyro env pull --help'\n"},
      {{"env", "pull", "a", "--force", "--repair", "--cache-dir", "/c"},
       "pyro: error: options '--force' and '--repair' exclude each other\n  hint: see 'pyro env "
       "pull "
       "--help'\n"},
  };
  for (const Case& c : cases) {
    const Outcome outcome = pyro(c.words);
    EXPECT_EQ(outcome.err, c.err);
    EXPECT_EQ(outcome.code, 2) << c.err;
    EXPECT_EQ(outcome.out.empty(), c.words.front() != "--json");
  }
}

TEST(Cli, JsonOptionPrintsUsageErrorsAsJson) {
  const Outcome outcome = pyro({"env", "pull", "--json"});
  EXPECT_EQ(outcome.code, 2);
  const auto document = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(document, (nlohmann::json{{"error",
                                       {{"code", "usage"},
                                        {"message", "'pyro env pull' needs a NAME"},
                                        {"hint", "see 'pyro env pull --help'"}}}}));
  EXPECT_EQ(pyro({"env", "list", "--", "--json"}).out, "");
  EXPECT_EQ(pyro({"run", "debian:12", "ls", "--json"}).out, "") << "the option is the guest's";
  EXPECT_NE(pyro({"run", "debian:12", "--json", "ls"}).out, "");
}

TEST(Cli, FailuresExitWithTheirCode) {
  const Outcome nowhere = pyro({"env", "list"});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_EQ(nowhere.err,
            "pyro: error: cannot tell where the cache is: HOME is not set\n"
            "  hint: give --cache-dir DIR, or set PYRO_ENVIRONMENT_CACHE_DIR\n");
  const Outcome no_catalog = pyro({"env", "list", "--cache-dir", "/c", "--catalog", "/none.json"});
  EXPECT_EQ(no_catalog.code, 6);
}

}  // namespace
}  // namespace pyro::cli
