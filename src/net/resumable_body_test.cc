// Tests of resume and restart.
#include "net/resumable_body.h"

#include <gtest/gtest.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"

namespace pyro {
namespace {

const std::string kContent = "0123456789";

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class ResumableBodyTest : public ::testing::Test {
 protected:
  ResumableBody make(const ResumableBody::Expected& expected = {.digest = sha256(kContent)}) {
    return {expected,
            [this](std::span<const std::byte> bytes) {
              passed_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            },
            session_};
  }

  static HttpResponse response(int status,
                               const std::vector<std::pair<std::string, std::string>>& headers) {
    HttpResponse response{status, {}, {}};
    for (const auto& [name, value] : headers) response.headers.add(name, value);
    return response;
  }

  /// The first answer, cut after four bytes.
  static void begin(ResumableBody& body,
                    std::vector<std::pair<std::string, std::string>> headers = {}) {
    HttpRequest request;
    body.prepare(request);
    EXPECT_FALSE(request.headers.get("Range"));
    headers.emplace_back("Content-Length", "10");
    body.check_head(response(200, headers));
    body.write(bytes_of("0123"));
  }

  static HttpRequest next_request(ResumableBody& body) {
    HttpRequest request;
    body.prepare(request);
    return request;
  }

  PullSession session_;
  std::string passed_;
};

TEST_F(ResumableBodyTest, ResumesAtNextByte) {
  ResumableBody body = make();
  begin(body);
  EXPECT_EQ(next_request(body).headers.get("Range"), "bytes=4-");
  const HttpResponse rest = response(206, {{"Content-Range", "bytes 4-9/10"}});
  body.check_head(rest);
  body.write(bytes_of("456789"));
  body.check_end(rest);
  EXPECT_EQ(passed_, kContent);
  EXPECT_EQ(body.digest(), sha256(kContent));
  EXPECT_TRUE(body.came_in_parts());
}

TEST_F(ResumableBodyTest, ComparesAndSkipsReceivedBytesOfFullResponse) {
  ResumableBody body = make();
  begin(body);
  (void)next_request(body);
  const HttpResponse all = response(200, {{"Content-Length", "10"}});
  body.check_head(all);
  body.write(bytes_of("01"));
  body.write(bytes_of("2345"));
  body.write(bytes_of("6789"));
  body.check_end(all);
  EXPECT_EQ(passed_, kContent);
}

TEST_F(ResumableBodyTest, RequestsRestartIfReceivedBytesDiffer) {
  ResumableBody body = make();
  begin(body);
  (void)next_request(body);
  body.check_head(response(200, {{"Content-Length", "10"}}));
  EXPECT_THROW(body.write(bytes_of("012x456789")), Error);
  EXPECT_TRUE(session_.take_restart());
  EXPECT_EQ(passed_, "0123");
}

TEST_F(ResumableBodyTest, RejectsWrongContentRange) {
  const std::vector<std::vector<std::pair<std::string, std::string>>> rows = {
      {},
      {{"Content-Range", "bytes 3-9/10"}},
      {{"Content-Range", "bytes 5-9/10"}},
      {{"Content-Range", "bytes 4-8/10"}},
      {{"Content-Range", "bytes 4-9/11"}},
      {{"Content-Range", "bytes 4-10/11"}},
      {{"Content-Range", "bytes 4-9"}},
      {{"Content-Range", "bytes */10"}},
      {{"Content-Range", "items 4-9/10"}},
      {{"Content-Range", "bytes 9-4/10"}},
      {{"Content-Range", "bytes -9/10"}},
      {{"Content-Range", "nonsense"}},
      {{"Content-Range", "bytes 4-9/10"}, {"Content-Range", "bytes 4-9/10"}},
      {{"Content-Range", "bytes 4-9/10"}, {"Content-Type", "multipart/byteranges; boundary=x"}},
  };
  for (const auto& headers : rows) {
    passed_.clear();
    ResumableBody body = make();
    begin(body);
    (void)next_request(body);
    EXPECT_THROW(body.check_head(response(206, headers)), TransientError);
    EXPECT_FALSE(next_request(body).headers.get("Range")) << "all of it, the next time";
  }
}

TEST_F(ResumableBodyTest, AcceptsContentRangeWithUnknownTotal) {
  ResumableBody body = make();
  begin(body);
  (void)next_request(body);
  body.check_head(response(206, {{"Content-Range", "bytes 4-9/*"}}));
}

TEST_F(ResumableBodyTest, RejectsPartialContentWithoutRangeRequest) {
  ResumableBody body = make();
  (void)next_request(body);
  EXPECT_THROW(body.check_head(response(206, {{"Content-Range", "bytes 0-9/10"}})), TransientError);
}

TEST_F(ResumableBodyTest, RequestsWholeBodyAfter416) {
  ResumableBody body = make();
  begin(body);
  (void)next_request(body);
  EXPECT_THROW(body.check_end(response(416, {{"Content-Range", "bytes */10"}})), TransientError);
  EXPECT_FALSE(next_request(body).headers.get("Range"));
}

TEST_F(ResumableBodyTest, TruncatedResponseIsTransientError) {
  ResumableBody body = make();
  begin(body);
  EXPECT_THROW(body.check_end(response(200, {{"Content-Length", "10"}})), TransientError);
}

TEST_F(ResumableBodyTest, SendsIfRangeForBodyWithoutDigest) {
  const struct {
    std::vector<std::pair<std::string, std::string>> headers;
    std::optional<std::string> validator;
  } rows[] = {
      {{{"ETag", "\"abc\""}}, "\"abc\""},
      {{{"ETag", "W/\"abc\""}}, std::nullopt},
      {{{"ETag", "W/\"abc\""}, {"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"}},
       "Sun, 06 Nov 1994 08:49:37 GMT"},
      {{}, std::nullopt},
  };
  for (const auto& row : rows) {
    ResumableBody body = make({});
    begin(body, row.headers);
    EXPECT_EQ(next_request(body).headers.get("If-Range"), row.validator);
  }
  ResumableBody body = make();
  begin(body, {{"ETag", "\"abc\""}});
  EXPECT_FALSE(next_request(body).headers.get("If-Range")) << "its digest says more";
}

TEST_F(ResumableBodyTest, ResumesAfterReplayedBytes) {
  ResumableBody body = make();
  body.replay(bytes_of("01234"));
  EXPECT_EQ(next_request(body).headers.get("Range"), "bytes=5-");
  body.check_head(response(206, {{"Content-Range", "bytes 5-9/10"}}));
  body.write(bytes_of("56789"));
  EXPECT_EQ(passed_, kContent);
  EXPECT_EQ(body.digest(), sha256(kContent));
}

class VerifiedBodyTest : public ::testing::Test {
 protected:
  const ResumableBody::Expected blob_{.size = 11, .digest = sha256("hello world")};
  PullSession session_;
  std::string passed_;
  const BodySink sink_ = [this](std::span<const std::byte> bytes) {
    passed_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };

  /// The outcome of a body that arrives in these pieces.
  std::string outcome(const std::vector<std::string>& pieces) {
    ResumableBody body(blob_, sink_, session_);
    try {
      for (const std::string& piece : pieces) body.write(std::as_bytes(std::span(piece)));
      body.check_end(HttpResponse{200, {}, {}});
      body.verify();
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

TEST_F(VerifiedBodyTest, PassesBlobToSink) {
  EXPECT_EQ(outcome({"hello", "", " world"}), "ok");
  EXPECT_EQ(passed_, "hello world");
}

TEST_F(VerifiedBodyTest, RejectsWrongLengthOrDigest) {
  EXPECT_EQ(outcome({}), "the answer ended after 0 of 11 bytes");
  EXPECT_EQ(outcome({"hello worl"}), "the answer ended after 10 of 11 bytes");
  EXPECT_EQ(outcome({"hello world", "!"}), "it is longer than the 11 bytes it should have");
  EXPECT_EQ(outcome({"hello_world"}), "its digest is " + sha256("hello_world").to_string());
}

TEST_F(VerifiedBodyTest, PassesNoByteBeyondTheSize) {
  EXPECT_EQ(outcome({"hello", " world!"}), "it is longer than the 11 bytes it should have");
  EXPECT_EQ(passed_, "hello");
}

TEST_F(VerifiedBodyTest, RejectsContentLengthOtherThanSize) {
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
    ResumableBody body(blob_, sink_, session_);
    std::string outcome = "ok";
    try {
      body.check_head(response);
    } catch (const Error& error) {
      outcome = error.what();
    }
    EXPECT_EQ(outcome, c.outcome);
  }
}

TEST_F(VerifiedBodyTest, RecordsFailureOfSink) {
  const BodySink full = [](std::span<const std::byte>) { throw std::runtime_error("disk full"); };
  ResumableBody body(blob_, full, session_);
  const std::string piece = "hello";
  EXPECT_FALSE(body.sink_failed());
  EXPECT_THROW(body.write(std::as_bytes(std::span(piece))), std::runtime_error);
  EXPECT_TRUE(body.sink_failed());
}

TEST(PullSessionTest, RestartsOnceAndForEachFailedMirror) {
  PullSession session;
  session.begin_attempt();
  EXPECT_FALSE(session.take_restart()) << "no restart was requested";
  session.request_restart();
  EXPECT_TRUE(session.take_restart());
  for (const char* mirror : {"a.example/team/env", "b.example/team/env"}) {
    session.begin_attempt();
    EXPECT_TRUE(session.mark_failed(mirror));
    EXPECT_FALSE(session.mark_failed(mirror));
    session.request_restart();
    EXPECT_TRUE(session.take_restart());
    EXPECT_TRUE(session.has_failed(mirror));
  }
  session.begin_attempt();
  session.request_restart();
  EXPECT_FALSE(session.take_restart()) << "once without a failed mirror";
}

}  // namespace

}  // namespace pyro
