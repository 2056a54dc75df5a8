#include "oci/verified_body.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace pyro {
namespace {

class VerifiedBodyTest : public ::testing::Test {
 protected:
  const Descriptor blob_{.media_type = "", .digest = sha256("hello world"), .size = 11};
  std::string passed_;
  const BodySink sink_ = [this](std::span<const std::byte> bytes) {
    passed_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };

  /// What becomes of a body that comes in these pieces.
  std::string outcome(const std::vector<std::string>& pieces) {
    VerifiedBody body(blob_, sink_);
    try {
      for (const std::string& piece : pieces) body.take(std::as_bytes(std::span(piece)));
      body.check_end(HttpResponse{200, {}, {}});
      body.finish();
    } catch (const TransientError& error) {
      EXPECT_EQ(error.code(), ErrorCode::network);
      return error.what();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::integrity);
      return error.what();
    }
    return "ok";
  }
};

TEST_F(VerifiedBodyTest, PassesTheBlobOn) {
  EXPECT_EQ(outcome({"hello", "", " world"}), "ok");
  EXPECT_EQ(passed_, "hello world");
}

TEST_F(VerifiedBodyTest, RefusesEverythingElse) {
  EXPECT_EQ(outcome({}), "the answer ended after 0 of 11 bytes");
  EXPECT_EQ(outcome({"hello worl"}), "the answer ended after 10 of 11 bytes");
  EXPECT_EQ(outcome({"hello world", "!"}), "it is longer than the 11 bytes it should have");
  EXPECT_EQ(outcome({"hello_world"}), "its digest is " + sha256("hello_world").to_string());
}

TEST_F(VerifiedBodyTest, PassesNoByteBeyondTheSize) {
  EXPECT_EQ(outcome({"hello", " world!"}), "it is longer than the 11 bytes it should have");
  EXPECT_EQ(passed_, "hello");
}

TEST_F(VerifiedBodyTest, HoldsTheHeadToTheSize) {
  const struct {
    std::vector<std::string> lengths;
    const char* type;
    int status;
    const char* outcome;
  } cases[] = {
      {{"11"}, "application/octet-stream", 200, "ok"},
      {{}, "text/html", 200, "ok"},
      {{"11", "11"}, "", 200, "ok"},
      {{"12"}, "", 200, "it should have 11 bytes, but 12 are offered"},
      {{"11", "12"}, "", 200, "it should have 11 bytes, but 12 are offered"},
      {{"-1"}, "", 200, "it should have 11 bytes, but -1 are offered"},
      {{"500"},
       "text/html; charset=utf-8",
       200,
       "it should have 11 bytes, but 500 are offered: what came is a web page (text/html)"},
      {{"11"}, "", 206, "the registry answered 206, which was not asked for"},
  };
  for (const auto& c : cases) {
    HttpResponse response{c.status, {}, {}};
    for (const std::string& length : c.lengths) response.headers.add("Content-Length", length);
    response.headers.add("Content-Type", c.type);
    VerifiedBody body(blob_, sink_);
    std::string outcome = "ok";
    try {
      body.check_head(response);
    } catch (const Error& error) {
      outcome = error.what();
    }
    EXPECT_EQ(outcome, c.outcome);
  }
}

TEST_F(VerifiedBodyTest, KnowsWhoseFailureItIs) {
  const BodySink full = [](std::span<const std::byte>) { throw std::runtime_error("disk full"); };
  VerifiedBody body(blob_, full);
  const std::string piece = "hello";
  EXPECT_FALSE(body.sink_failed());
  EXPECT_THROW(body.take(std::as_bytes(std::span(piece))), std::runtime_error);
  EXPECT_TRUE(body.sink_failed());
}

}  // namespace
}  // namespace pyro
