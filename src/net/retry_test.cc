// Tests of retry.
#include "net/retry.h"

#include <gtest/gtest.h>

#include <chrono>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"

namespace pyro {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using std::chrono::seconds;

TransientError broken(std::optional<seconds> retry_after = std::nullopt) {
  return TransientError(Error(ErrorCode::network, "the wire was cut"), retry_after);
}

/// The course of an operation that fails `failures` times before it succeeds.
struct Story {
  int tries = 0;
  std::vector<milliseconds> pauses;
  std::string error;
};

Story run(int failures, RetryOptions options, std::optional<seconds> retry_after = std::nullopt) {
  Story story;
  options.on_pause = [&](const Error&, milliseconds pause) { story.pauses.push_back(pause); };
  try {
    Retry(options).run([&] {
      if (++story.tries <= failures) throw broken(retry_after);
    });
  } catch (const Error& error) {
    story.error = error.what();
  }
  return story;
}

TEST(Retry, RepeatsUntilSuccess) {
  EXPECT_EQ(run(0, {.retries = 3}).tries, 1);
  const Story story = run(3, {.retries = 3, .delay = 1ms});
  EXPECT_EQ(story.tries, 4);
  EXPECT_EQ(story.error, "");
}

TEST(Retry, GivesUpAfterConfiguredRetries) {
  const Story story = run(9, {.retries = 3, .delay = 1ms});
  EXPECT_EQ(story.tries, 4);
  EXPECT_EQ(story.error, "gave up after 4 tries: the wire was cut");
}

TEST(Retry, HonoursRetryLimitOfError) {
  int tries = 0;
  const auto fail = [&] {
    ++tries;
    throw TransientError(Error(ErrorCode::network, "no such name"), std::nullopt, 1);
  };
  EXPECT_THROW(Retry({.retries = 5, .delay = 1ms}).run(fail), TransientError);
  EXPECT_EQ(tries, 2);
  tries = 0;
  EXPECT_THROW(Retry({.retries = 0, .delay = 1ms}).run(fail), TransientError);
  EXPECT_EQ(tries, 1);
}

TEST(Retry, DoublesPausesWithJitter) {
  const Story story = run(4, {.retries = 4, .delay = 8ms});
  ASSERT_EQ(story.pauses.size(), 4U);
  for (std::size_t i = 0; i < story.pauses.size(); ++i) {
    EXPECT_GE(story.pauses[i], 4ms * (1 << i));
    EXPECT_LE(story.pauses[i], 8ms * (1 << i));
  }
}

TEST(Retry, WaitsForRetryAfter) {
  const Story story = run(1, {.retries = 1, .delay = 1ms}, 1s);
  ASSERT_EQ(story.pauses.size(), 1U);
  EXPECT_EQ(story.pauses[0], 1s);
}

TEST(Retry, GivesUpOnRetryAfterAbove60s) {
  const Story story = run(1, {.retries = 3, .delay = 1ms}, 300s);
  EXPECT_EQ(story.tries, 1);
  EXPECT_EQ(story.error, "it asks for a pause of 300 s: the wire was cut");
}

TEST(Retry, HonoursLowerLimitsOfOptions) {
  const Story story = run(1, {.retries = 3, .delay = 1ms, .max_retry_after = 1s}, 2s);
  EXPECT_EQ(story.tries, 1);
  std::uint64_t received = 0;
  int tries = 0;
  const auto progress = [&] {
    ++tries;
    received += 64 << 10;
    throw broken();
  };
  EXPECT_THROW(Retry({.retries = 1, .progress_counts = false, .delay = 1ms})
                   .run(progress, [&] { return received; }),
               TransientError);
  EXPECT_EQ(tries, 2);
}

TEST(Retry, DoesNotRetryPermanentErrors) {
  int tries = 0;
  EXPECT_THROW(Retry({.retries = 3}).run([&] {
    ++tries;
    throw Error(ErrorCode::integrity, "no");
  }),
               Error);
  EXPECT_EQ(tries, 1);
}

TEST(Retry, StopRequestEndsPause) {
  std::stop_source stop;
  RetryOptions options{.retries = 1, .delay = 1h, .stop = stop.get_token()};
  options.on_pause = [&](const Error&, milliseconds) { stop.request_stop(); };
  try {
    Retry(options).run([] { throw broken(); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::interrupted);
  }
}

TEST(Retry, ProgressResetsRetryCount) {
  for (const int retries : {1, 2}) {
    std::uint64_t received = 0;
    int tries = 0;
    const auto progress = [&] {
      if (++tries == 20) return;
      received += 64 << 10;
      throw broken();
    };
    Retry({.retries = retries, .delay = 1ms}).run(progress, [&] { return received; });
    EXPECT_EQ(tries, 20);
  }
}

TEST(Retry, LittleProgressDoesNotResetRetryCount) {
  std::uint64_t received = 0;
  int tries = 0;
  const auto progress = [&] {
    ++tries;
    ++received;
    throw broken();
  };
  EXPECT_THROW(Retry({.retries = 2, .delay = 1ms}).run(progress, [&] { return received; }),
               TransientError);
  EXPECT_EQ(tries, 3);
}

TEST(RetryAfter, ParsesSecondsAndDates) {
  const auto now = std::chrono::system_clock::from_time_t(784111777);  // RFC 9110's example
  const struct {
    const char* text;
    std::optional<seconds> pause;
  } rows[] = {
      {"1", 1s},
      {"120", 120s},
      {"0", 0s},
      {" 7 ", 7s},
      {"-1", std::nullopt},
      {"abc", std::nullopt},
      {"", std::nullopt},
      {"1.5", std::nullopt},
      {"99999999999999999999", seconds::max()},
      {"Sun, 06 Nov 1994 08:50:07 GMT", 30s},
      {"Sunday, 06-Nov-94 08:50:07 GMT", 30s},
      {"Sun Nov  6 08:50:07 1994", 30s},
      {"Sun, 06 Nov 1994 08:00:00 GMT", 0s},
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0s},
      {"Sun, 06 Nov 1994 08:50:07 GMT; nonsense", std::nullopt},
  };
  for (const auto& row : rows) {
    HttpResponse response{429, {}, {}};
    if (*row.text != '\0') response.headers.add("Retry-After", row.text);
    EXPECT_EQ(retry_after(response, now), row.pause) << row.text;
  }
}

TEST(TransientStatus, ClassifiesRetryableStatuses) {
  for (const int status : {408, 429, 499, 500, 502, 503, 504, 522})
    EXPECT_TRUE(is_transient(status));
  for (const int status : {200, 301, 400, 401, 403, 404, 405, 416, 451, 501, 505}) {
    EXPECT_FALSE(is_transient(status));
  }
}

}  // namespace
}  // namespace pyro
