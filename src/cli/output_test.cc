// Tests of messages and aligned columns.
#include "cli/output.h"

#include <gtest/gtest.h>

#include "support/captured_terminal.h"

namespace pyro::cli {
namespace {

TEST(ErrorOutput, PrintsMessageCausesAndHint) {
  Error error(ErrorCode::network, "HTTP 503 from\n\x1b[31mregistry", "try again later");
  error.add_context("cannot fetch the manifest");
  error.add_context("cannot pull debian:12");
  EXPECT_EQ(render_error(error, Terminal(-1, {})),
            "pyro: error: cannot pull debian:12\n"
            "  cause: cannot fetch the manifest\n"
            "  cause: HTTP 503 from\\n\\x1b[31mregistry\n"
            "  hint: try again later\n");
}

TEST(ErrorOutput, PrintsOneLineWithoutCausesAndHint) {
  EXPECT_EQ(render_error(Error(ErrorCode::failed, "no"), Terminal(-1, {})), "pyro: error: no\n");
  EXPECT_EQ(render_warning("w", Terminal(-1, {.colour = true})),
            "pyro: \x1b[33mwarning:\x1b[0m w\n");
}

Table example() {
  Table table({{"NAME"}, {"SIZE", Table::Align::right}, {"TEXT"}});
  table.add({{"a"}, {"1 B"}, {"short"}});
  table.add({{"longer:name"}, {"352.0 MiB"}, {""}});
  return table;
}

TEST(Table, AlignsColumns) {
  EXPECT_EQ(example().render(Terminal(-1, {})),
            "NAME              SIZE  TEXT\n"
            "a                  1 B  short\n"
            "longer:name  352.0 MiB\n");
}

TEST(Table, AppliesColoursAfterAlignment) {
  Table table({{"A"}, {"B"}});
  table.add({{"x", Colour::green}, {"y"}});
  EXPECT_EQ(table.render(Terminal(-1, {.colour = true})),
            "\x1b[1mA\x1b[0m  \x1b[1mB\x1b[0m\n\x1b[32mx\x1b[0m  y\n");
}

TEST(Table, EscapesControlCharacters) {
  Table table({{"A"}});
  table.add({{"x\n\x1b[2J"}});
  EXPECT_EQ(table.render(Terminal(-1, {})), "A\nx\\n\\x1b[2J\n");
}

TEST(Table, TruncatesLinesToTerminalWidth) {
  Table table({{"NAME"}, {"TEXT"}});
  table.add({{"n"}, {std::string(100, 'x')}});
  // A terminal of unknown width counts as 80 columns.
  EXPECT_EQ(table.render(Terminal(-1, {.interactive = true})),
            "NAME  TEXT\nn     " + std::string(71, 'x') + "...\n");
  EXPECT_EQ(table.render(Terminal(-1, {})), "NAME  TEXT\nn     " + std::string(100, 'x') + "\n");
  Table wide({{"NAME"}, {"TEXT"}, {"MORE"}});
  wide.add({{std::string(100, 'n')}, {"t"}, {"m"}});
  EXPECT_EQ(wide.render(Terminal(-1, {.interactive = true})),
            "NAME\n" + std::string(77, 'n') + "...\n");
}

TEST(Table, AlignsFields) {
  EXPECT_EQ(render_fields({{"Name", {"debian:12"}}, {"Size on disk", {"1 B"}}}, Terminal(-1, {})),
            "Name          debian:12\nSize on disk  1 B\n");
}

}  // namespace
}  // namespace pyro::cli
