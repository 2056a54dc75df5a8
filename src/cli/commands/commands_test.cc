// Tests of results over several names.
#include "cli/commands/commands.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/captured_terminal.h"

namespace pyro::cli {
namespace {

class BatchResultTest : public ::testing::Test {
 protected:
  /// Names of error codes fail with them, "stop" interrupts, "absent" has no payload; all other
  /// names are their own payload.
  Json each(const std::string& name) {
    if (name == "network") throw Error(ErrorCode::network, "no answer");
    if (name == "busy") throw Error(ErrorCode::busy, "busy");
    if (name == "stop") source_.request_stop();
    if (name == "absent") return {};
    return name;
  }

  int run(const std::vector<std::string>& names) {
    const Context context{{}, source_.get_token(), out_.terminal(), err_.terminal()};
    BatchResult results(context);
    results.for_each(names, [this](const std::string& name) { return each(name); });
    payloads_ = render_json_line(results.payloads());
    return results.exit_code();
  }

  std::stop_source source_;
  CapturedTerminal out_;
  CapturedTerminal err_;
  std::string payloads_;
};

TEST_F(BatchResultTest, TriesAllNamesAndReturnsFirstFailure) {
  EXPECT_EQ(run({"a", "network", "b", "busy"}), 4);
  EXPECT_EQ(
      payloads_,
      R"(["a",{"name":"network","error":{"code":"network","message":"no answer","hint":null}},)"
      R"("b",{"name":"busy","error":{"code":"busy","message":"busy","hint":null}}])"
      "\n");
  EXPECT_EQ(err_.take(), "pyro: error: no answer\npyro: error: busy\n");
}

TEST(StatusCell, ReportsInstallThatDiffersFromItsPin) {
  EnvironmentStatus status;
  status.installed.emplace();
  EXPECT_EQ(status_cell(status).text, "installed");
  status.outdated = true;
  EXPECT_EQ(status_cell(status).text, "differs from pin");
}

TEST_F(BatchResultTest, ReturnsZeroIfAllSucceed) {
  EXPECT_EQ(run({"a", "b"}), 0);
  EXPECT_EQ(payloads_, "[\"a\",\"b\"]\n");
}

TEST_F(BatchResultTest, OmitsEmptyResults) {
  EXPECT_EQ(run({"absent", "a"}), 0);
  EXPECT_EQ(payloads_, "[\"a\"]\n");
}

TEST_F(BatchResultTest, PropagatesErrorOfSingleName) {
  EXPECT_THROW(run({"network"}), Error);
  EXPECT_EQ(err_.take(), "");
}

TEST_F(BatchResultTest, StartsNothingAfterInterruption) {
  EXPECT_EQ(run({"stop", "a"}), 130);
  EXPECT_EQ(payloads_,
            R"(["stop",{"name":"a","error":{"code":"interrupted","message":"interrupted before it )"
            R"(began","hint":null}}])"
            "\n");
}

}  // namespace
}  // namespace pyro::cli
