// Tests of how a failure is told.
#include "cli/error_output.h"

#include <gtest/gtest.h>

namespace pyro::cli {
namespace {

TEST(ErrorOutput, MessageCausesHint) {
  Error error(ErrorCode::network, "HTTP 503 from\n\x1b[31mregistry", "try again later");
  error.add_context("cannot fetch the manifest");
  error.add_context("cannot pull debian:12");
  EXPECT_EQ(render_error(error, Terminal(-1, {})),
            "pyro: error: cannot pull debian:12\n"
            "  cause: cannot fetch the manifest\n"
            "  cause: HTTP 503 from\\n\\x1b[31mregistry\n"
            "  hint: try again later\n");
}

TEST(ErrorOutput, OneLineWhereThatIsAll) {
  EXPECT_EQ(render_error(Error(ErrorCode::failed, "no"), Terminal(-1, {})), "pyro: error: no\n");
  EXPECT_EQ(render_warning("w", Terminal(-1, {.colour = true})),
            "pyro: \x1b[33mwarning:\x1b[0m w\n");
}

}  // namespace
}  // namespace pyro::cli
