// Tests of shell completion.
#include "cli/completion.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cli/commands/commands.h"

namespace pyro::cli {
namespace {

using Words = std::vector<std::string>;

Words texts_of(const Completion& completion) {
  Words texts;
  for (const Candidate& candidate : completion.candidates) texts.push_back(candidate.text);
  return texts;
}

Completion complete_with_names(const Words& words) {
  return complete(words, {.environments =
                              [](const Words&) {
                                return std::vector<Candidate>{{"debian:12", "installed: with Git"},
                                                              {"debian:12-base", ""}};
                              },
                          .workspaces =
                              [] {
                                return std::vector<Candidate>{{"fix", "debian:12"}};
                              }});
}

TEST(Completion, OffersCommandsOptionsValuesAndNames) {
  struct Case {
    Words words;
    Words texts;
  };
  const Words names = {"debian:12", "debian:12-base"};
  const Case cases[] = {
      {{}, {}},
      {{"do"}, {"doctor"}},
      {{"env", "ins"}, {"inspect"}},
      {{"env", "pull", ""}, names},
      {{"env", "pull", "debian:12-"}, {"debian:12-base"}},
      {{"env", "pull", "debian:12", ""}, names},
      {{"-v", "env", "pull", "--force", ""}, names},
      {{"env", "inspect", "--pro"}, {}},
      {{"env", "pull", "--pro"}, {"--progress"}},
      {{"env", "pull", "--progress", "t"}, {"tty"}},
      {{"env", "pull", "--progress=t"}, {"--progress=tty"}},
      {{"env", "pull", "--progress", "json", "debian:12-"}, {"debian:12-base"}},
      {{"env", "pull", "--nothing=", ""}, names},
      {{"run", "debian:12", "--net"}, {"--network"}},
      {{"run", "--network", ""}, {"none", "user", "user+host", "debian:12", "debian:12-base"}},
      {{"run", "--network", "debian:12", "ls", ""}, {}},
      {{"run", "--network", "user", "debian:12-"}, {"debian:12-base"}},
      {{"run", "debian:12", "--", ""}, {}},
      {{"run", "debian:12", "ls", "-"}, {}},
      {{"help", "env", "ins"}, {"inspect"}},
      {{"vers"}, {"version"}},
      {{"env", "rm", ""}, names},
      {{"run", "debian:12", "--", "debian"}, {}},
      {{"doctor", "--environment", ""}, names},
      {{"completion", ""}, {"bash", "zsh", "fish"}},
      {{"completion", "bash", "--v"}, {"--verbose", "--version"}},
      {{"workspace", "exec", ""}, {"fix"}},
      {{"ws", "signal", "f"}, {"fix"}},
      {{"ws", "exec", "fix", "--", ""}, {}},
      {{"nonsense", ""}, {}},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(texts_of(complete_with_names(c.words)), c.texts) << ::testing::PrintToString(c.words);
  }
}

TEST(Completion, DelegatesPathsToShell) {
  EXPECT_EQ(complete_with_names({"--cache-dir", ""}).paths, Completion::Paths::directories);
  EXPECT_EQ(complete_with_names({"env", "list", "--catalog", ""}).paths, Completion::Paths::files);
  EXPECT_EQ(complete_with_names({"run", "debian:12", "--copy-in", ""}).paths,
            Completion::Paths::files);
  EXPECT_EQ(complete_with_names({"env", "add", "mine", "./"}).paths, Completion::Paths::files);
  EXPECT_EQ(complete_with_names({"env", "import", ""}).paths, Completion::Paths::files);
  EXPECT_EQ(complete_with_names({"env", "pull", ""}).paths, Completion::Paths::none);
}

TEST(Completion, LooksUpNamesWithGivenGlobalOptions) {
  Words globals;
  const KnownNames::Environments environments = [&](const Words& words) {
    globals = words;
    return std::vector<Candidate>();
  };
  static_cast<void>(complete(
      {"--catalog", "a.json", "env", "pull", "--retries", "3", "--catalog=b.json", "-v", ""},
      {environments}));
  EXPECT_EQ(globals, (Words{"--catalog", "a.json", "--catalog=b.json", "-v"}));
}

TEST(Completion, OffersEveryCommand) {
  for (const CommandEntry* const entry : all_commands()) {
    Words words;
    if (!entry->group.empty()) words.emplace_back(entry->group);
    words.emplace_back(entry->name);
    const Words offered = texts_of(complete_with_names(words));
    EXPECT_TRUE(std::ranges::find(offered, entry->name) != offered.end()) << entry->words();
  }
}

TEST(Completion, RendersOneLinePerCandidate) {
  EXPECT_EQ(
      render({.candidates = {{"a", "the\nfirst"}, {"b", ""}}, .paths = Completion::Paths::files}),
      "files\na\tthe\\nfirst\nb\t\n");
}

TEST(Completion, HasScriptsForBashZshAndFish) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    ASSERT_TRUE(completion_script(shell)) << shell;
    EXPECT_NE(completion_script(shell)->find(kCompleteWord), std::string_view::npos) << shell;
  }
  EXPECT_FALSE(completion_script("csh"));
}

}  // namespace
}  // namespace pyro::cli
