// Every byte once and in order, whatever the server makes of the range.
#include "net/resumable_body.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/recoverable.h"

namespace pyro {
namespace {

const std::string kContent = "0123456789";

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

class ResumableBodyTest : public ::testing::Test {
 protected:
  ResumableBody make(ResumableBody::Content content = ResumableBody::Content::addressed) {
    return {[this](std::span<const std::byte> bytes) {
              passed_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
            },
            content};
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
    body.take(bytes_of("0123"));
  }

  static HttpRequest next_request(ResumableBody& body) {
    HttpRequest request;
    body.prepare(request);
    return request;
  }

  std::string passed_;
};

TEST_F(ResumableBodyTest, GoesOnAtTheByte) {
  ResumableBody body = make();
  begin(body);
  EXPECT_EQ(next_request(body).headers.get("Range"), "bytes=4-");
  const HttpResponse rest = response(206, {{"Content-Range", "bytes 4-9/10"}});
  body.check_head(rest);
  body.take(bytes_of("456789"));
  body.check_end(rest);
  EXPECT_EQ(passed_, kContent);
  EXPECT_EQ(body.digest(), sha256(kContent));
  EXPECT_TRUE(body.is_stitched());
}

TEST_F(ResumableBodyTest, AWholeAnswerIsComparedAndItsFrontDropped) {
  ResumableBody body = make();
  begin(body);
  (void)next_request(body);
  const HttpResponse all = response(200, {{"Content-Length", "10"}});
  body.check_head(all);
  body.take(bytes_of("01"));
  body.take(bytes_of("2345"));
  body.take(bytes_of("6789"));
  body.check_end(all);
  EXPECT_EQ(passed_, kContent);
}

TEST_F(ResumableBodyTest, AnotherFrontMeansStartingAnew) {
  ResumableBody body = make();
  begin(body);
  (void)next_request(body);
  body.check_head(response(200, {{"Content-Length", "10"}}));
  EXPECT_THROW(body.take(bytes_of("012x456789")), NeedsRestart);
  EXPECT_EQ(passed_, "0123");
}

TEST_F(ResumableBodyTest, OnlyTheRightRangeIsAppended) {
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

TEST_F(ResumableBodyTest, AnUnknownTotalIsFine) {
  ResumableBody body = make();
  begin(body);
  (void)next_request(body);
  body.check_head(response(206, {{"Content-Range", "bytes 4-9/*"}}));
}

TEST_F(ResumableBodyTest, ARangeThatNobodyAskedForIsRefused) {
  ResumableBody body = make();
  (void)next_request(body);
  EXPECT_THROW(body.check_head(response(206, {{"Content-Range", "bytes 0-9/10"}})), TransientError);
}

TEST_F(ResumableBodyTest, WhatCannotBeSatisfiedIsAskedForWhole) {
  ResumableBody body = make();
  begin(body);
  (void)next_request(body);
  EXPECT_THROW(body.check_end(response(416, {{"Content-Range", "bytes */10"}})), TransientError);
  EXPECT_FALSE(next_request(body).headers.get("Range"));
}

TEST_F(ResumableBodyTest, AShortAnswerIsNotTheEnd) {
  ResumableBody body = make();
  begin(body);
  EXPECT_THROW(body.check_end(response(200, {{"Content-Length", "10"}})), TransientError);
}

TEST_F(ResumableBodyTest, WhatHasOnlyANameIsAskedForByItsValidator) {
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
    ResumableBody body = make(ResumableBody::Content::named);
    begin(body, row.headers);
    EXPECT_EQ(next_request(body).headers.get("If-Range"), row.validator);
  }
  ResumableBody body = make();
  begin(body, {{"ETag", "\"abc\""}});
  EXPECT_FALSE(next_request(body).headers.get("If-Range")) << "its digest says more";
}

TEST_F(ResumableBodyTest, BytesOfAnEarlierTimeCount) {
  ResumableBody body = make();
  body.replay(bytes_of("01234"));
  EXPECT_EQ(next_request(body).headers.get("Range"), "bytes=5-");
  body.check_head(response(206, {{"Content-Range", "bytes 5-9/10"}}));
  body.take(bytes_of("56789"));
  EXPECT_EQ(passed_, kContent);
  EXPECT_EQ(body.digest(), sha256(kContent));
}

}  // namespace
}  // namespace pyro
