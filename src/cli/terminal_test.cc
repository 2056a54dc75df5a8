// Tests of terminals.
#include "cli/terminal.h"

#include <gtest/gtest.h>

#include <map>

namespace pyro::cli {
namespace {

Variables variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto value = values.find(name);
    return value == values.end() ? std::nullopt : std::optional(value->second);
  };
}

TEST(StandardTerminal, HasNoColourWithoutTerminal) {
  const Terminal terminal =
      standard_terminal(-1, variables({{"TERM", "xterm"}, {"LANG", "C.UTF-8"}}));
  EXPECT_FALSE(terminal.interactive());
  EXPECT_TRUE(terminal.unicode());
  EXPECT_EQ(terminal.paint(Colour::red, "x"), "x");
  EXPECT_FALSE(standard_terminal(-1, variables({{"LANG", "C.UTF-8"}, {"LC_ALL", "C"}})).unicode());
}

}  // namespace
}  // namespace pyro::cli
