// Tests of signals turned into a stop token.
#include "cli/signals.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>

#include "support/process.h"

namespace pyro::cli {
namespace {

bool stops(const std::stop_token& token) {
  return testing::eventually([&] { return token.stop_requested(); });
}

TEST(Signals, FirstSignalRequestsStop) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    const SignalWatch watch;
    EXPECT_FALSE(watch.token().stop_requested());
    EXPECT_EQ(stop_signal(), SIGINT);
    ::raise(number);
    EXPECT_TRUE(stops(watch.token())) << number;
    EXPECT_EQ(stop_signal(), number);
    ::raise(SIGHUP);
    EXPECT_EQ(stop_signal(), number) << "a terminal that closes is no second request";
  }
}

TEST(SignalsDeathTest, SecondInterruptOrTerminationEndsAtOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const int first : {SIGINT, SIGTERM, SIGHUP}) {
    for (const int second : {SIGINT, SIGTERM}) {
      EXPECT_EXIT(
          {
            const SignalWatch watch;
            ::raise(first);
            ::raise(second);
          },
          ::testing::ExitedWithCode(130), "");
    }
  }
}

TEST(SignalsDeathTest, RelayedSignalEndsProcessOutsideHold) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const SignalRelay relay;
        { const SignalRelay::Hold hold; }
        ::raise(SIGUSR1);
      },
      ::testing::KilledBySignal(SIGUSR1), "");
}

TEST(Signals, RelaysSignalsInOrder) {
  const SignalRelay relay;
  const SignalRelay::Hold hold;
  for (const int number : {SIGUSR2, SIGQUIT, SIGUSR1, SIGALRM}) {
    ::raise(number);
    unsigned char relayed = 0;
    EXPECT_EQ(::read(relay.descriptor(), &relayed, 1), 1);
    EXPECT_EQ(relayed, number);
  }
  unsigned char none = 0;
  EXPECT_EQ(::read(relay.descriptor(), &none, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
}

TEST(Signals, KeepsIgnoredSignalsIgnored) {
  ::signal(SIGHUP, SIG_IGN);
  {
    const SignalWatch watch;
    ::raise(SIGHUP);
    ::raise(SIGTERM);  // Relayed in order: were the other not ignored, it would have come first.
    EXPECT_TRUE(stops(watch.token()));
  }
  EXPECT_EQ(::signal(SIGHUP, SIG_DFL), SIG_IGN);
}

TEST(Signals, WriteToClosedPipeFailsWithEpipe) {
  const SignalWatch watch;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  ::close(ends[1]);
}

}  // namespace
}  // namespace pyro::cli
