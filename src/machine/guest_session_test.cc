// Tests of frames to and from a guest that may say anything, at any pace.
#include "machine/guest_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "machine/fake_guest.h"
#include "machine/guest_requests.h"
#include "support/process.h"

namespace pyro {
namespace {

using guest::FrameType;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class GuestSessionTest : public ::testing::Test {
 protected:
  /// What next() throws; empty when it does not.
  std::string failure(Deadline deadline = Clock::now() + testing::kHang) {
    try {
      session_.next(deadline);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  FakeGuest guest_;
  std::stop_source stop_;
  FakeHost host_{guest_, stop_.get_token()};
  GuestSession& session_ = host_.session;
};

TEST_F(GuestSessionTest, ReassemblesFramesSplitAnywhere) {
  const std::string both =
      frame_bytes(FrameType::output, "first") + frame_bytes(FrameType::error_output);
  for (std::size_t cut = 0; cut <= both.size(); ++cut) {
    guest_.say_bytes(both.substr(0, cut));
    session_.wait({}, Clock::now());
    guest_.say_bytes(both.substr(cut));
    const GuestFrame first = session_.next(Clock::now() + testing::kHang);
    EXPECT_EQ(first.type, FrameType::output) << cut;
    EXPECT_EQ(first.payload, "first") << cut;
    const GuestFrame second = session_.next(Clock::now() + testing::kHang);
    EXPECT_EQ(second.type, FrameType::error_output) << cut;
    EXPECT_EQ(second.payload, "") << cut;
  }
}

TEST_F(GuestSessionTest, ReceivesLargestFrame) {
  const std::string most(guest::kMaxPayload, 'x');
  std::jthread guest([&] { guest_.say(FrameType::output, most); });
  EXPECT_EQ(session_.next(Clock::now() + testing::kHang).payload, most);
}

TEST_F(GuestSessionTest, RejectsHeaderOfTooLargeFrame) {
  const guest::FrameHeader header{guest::kMaxPayload + 1, FrameType::output, {}};
  guest_.say_bytes(payload_bytes(header));
  EXPECT_THAT(failure(), HasSubstr("does not keep to the protocol"));
}

TEST_F(GuestSessionTest, RejectsTruncatedFixedPart) {
  std::string_view payload = "abc";
  EXPECT_THROW(fixed_part<guest::NumberPayload>(payload), Error);
}

TEST_F(GuestSessionTest, ReportsFatalErrorOfGuest) {
  guest_.say(FrameType::fatal_error, "no disk appeared");
  EXPECT_THAT(failure(), HasSubstr("the guest gives up: no disk appeared"));
}

TEST_F(GuestSessionTest, TruncatesLongFatalError) {
  guest_.say(FrameType::fatal_error, std::string(guest::kMaxPayload, 'x'));
  EXPECT_LT(failure().size(), 5'000u);
}

TEST_F(GuestSessionTest, DeliversFramesSentBeforeEnd) {
  guest_.say(FrameType::output, "last");
  guest_.end();
  EXPECT_EQ(session_.next().payload, "last");
  EXPECT_THROW(session_.next(), MachineLost);
}

TEST_F(GuestSessionTest, ErrorHasLastOutputOfMonitor) {
  guest_.end("qemu: no such file");
  EXPECT_EQ(failure(), "the machine ended: qemu: no such file");
}

TEST_F(GuestSessionTest, ReportsSilentEnd) {
  guest_.end("");
  EXPECT_EQ(failure(), "the machine ended");
}

struct EndOfMonitor {
  const char* line;
  MachineEnd end;
  const char* message;
};

class MonitorEndTest : public ::testing::TestWithParam<EndOfMonitor> {};

TEST_P(MonitorEndTest, IsReported) {
  FakeGuest guest;
  FakeHost host(guest, {});
  guest.end(GetParam().line, GetParam().end);
  try {
    host.session.next();
    FAIL() << "it goes on";
  } catch (const MachineLost& lost) {
    EXPECT_STREQ(lost.what(), GetParam().message);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Ends, MonitorEndTest,
    ::testing::Values(EndOfMonitor{"",
                                   {Loss::monitor, "it exited with status 3"},
                                   "the machine ended: it exited with status 3"},
                      EndOfMonitor{"no such file",
                                   {Loss::monitor, "it exited with status 1"},
                                   "the machine ended: no such file"},
                      EndOfMonitor{"booting",
                                   {Loss::monitor, "it was killed", "the memory may be full"},
                                   "the machine ended: it was killed: booting"}));

TEST_F(GuestSessionTest, ConsumesStopOnce) {
  stop_.request_stop();
  EXPECT_EQ(failure(), "interrupted");
  EXPECT_TRUE(session_.consume_stop());
  EXPECT_FALSE(session_.consume_stop());
  guest_.say(FrameType::done);
  EXPECT_EQ(failure(), "");
}

TEST_F(GuestSessionTest, TruncatesLongMonitorOutput) {
  guest_.end(std::string(4096, 'x'));
  EXPECT_LT(failure().size(), 500u);
}

TEST_F(GuestSessionTest, WaitTimesOut) {
  EXPECT_EQ(failure(Clock::now() + 20ms), kNoSign);
}

TEST_F(GuestSessionTest, HandshakeWithTalkativeGuestEndsAtDeadline) {
  for (int i = 0; i < 100; ++i) guest_.say(FrameType::output, "junk");
  guest_.say_fixed(FrameType::ready, guest::NumberPayload{guest::kProtocolVersion});
  EXPECT_THROW(handshake(session_, "host", Clock::now()), MachineLost);
}

TEST_F(GuestSessionTest, FloodOfConsoleEndsAtDeadline) {
  guest_.flood_console();
  EXPECT_EQ(failure(Clock::now() + 20ms), kNoSign);
  session_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  for (int i = 0; i < 8; ++i) {
    session_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  }
  EXPECT_THROW(session_.send_all({20ms}), MachineLost);
}

TEST_F(GuestSessionTest, SendAllFailsAfterStop) {
  stop_.request_stop();
  EXPECT_THROW(session_.send_all({10s}), Error);
}

TEST_F(GuestSessionTest, SendAllToSlowGuestFailsAtTotalTimeout) {
  for (int i = 0; i < 100; ++i) {
    session_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  }
  std::jthread guest([&](const std::stop_token& over) {
    while (!over.stop_requested() && guest_.hear(10)) std::this_thread::sleep_for(10ms);
  });
  EXPECT_THROW(session_.send_all({10s, Clock::now() + 100ms}), MachineLost);
  ::shutdown(guest_.channel(), SHUT_WR);  // it may wait for the rest of a frame
}

TEST_F(GuestSessionTest, StopEndsWait) {
  std::jthread user([&] {
    std::this_thread::sleep_for(20ms);
    stop_.request_stop();
  });
  EXPECT_THAT(failure(), HasSubstr("interrupted"));
}

TEST_F(GuestSessionTest, StopEndsSendAllToStalledGuest) {
  session_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  for (int i = 0; i < 8; ++i) {
    session_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  }
  std::jthread user([&] {
    std::this_thread::sleep_for(20ms);
    stop_.request_stop();
  });
  EXPECT_THROW(session_.send_all({10s}), Error);
}

TEST_F(GuestSessionTest, SendsAllAtPaceOfGuest) {
  const std::string piece(guest::kStreamPiece, 'x');
  constexpr int kPieces = 500;
  std::jthread guest([&] {
    for (int i = 0; i < kPieces; ++i) ASSERT_TRUE(guest_.hear());
    guest_.say(FrameType::done);
  });
  for (int i = 0; i < kPieces; ++i) {
    session_.send(FrameType::data, piece);
    session_.send_all({testing::kHang});
    ASSERT_LE(session_.unsent(), 256u << 10);
  }
  EXPECT_EQ(session_.next(Clock::now() + testing::kHang).type, FrameType::done);
}

TEST_F(GuestSessionTest, RejectsMoreFramesThanItHasRoomFor) {
  const std::string piece = frame_bytes(FrameType::output, std::string(30 << 10, 'x'));
  std::size_t said = 0;
  for (int i = 0; i < 1'000 && said < (32u << 20); ++i) {
    pollfd room{guest_.port(), POLLOUT, 0};
    ::poll(&room, 1, 10);
    said += guest_.say_what_fits(piece);
  }
  ASSERT_LT(said, 8u << 20) << "the host keeps what nobody takes";
  EXPECT_THAT(
      [&] {
        for (;;) static_cast<void>(session_.next(Clock::now() + testing::kHang));
      },
      ::testing::ThrowsMessage<Error>(HasSubstr("it sends more than it may")));
}

TEST_F(GuestSessionTest, GrantsWhatItTook) {
  const std::string piece(16 << 10, 'x');
  std::size_t granted = 0;
  for (int i = 0; i < 64; ++i) {
    guest_.say(FrameType::output, piece);
    session_.next(Clock::now() + testing::kHang);
    while (const auto heard = guest_.hear(0)) {
      ASSERT_EQ(heard->type, FrameType::granted);
      std::string_view payload = heard->payload;
      granted += fixed_part<guest::NumberPayload>(payload).number;
    }
  }
  const std::size_t taken = 64 * (piece.size() + guest::kHeaderSize);
  EXPECT_LE(granted, taken);
  EXPECT_GT(granted, taken - guest::kOutputWindow / 2);
}

class SessionsTest : public ::testing::Test {
 protected:
  /// A session that the guest knows, and its number there.
  std::uint16_t request(GuestSession& session) {
    session.send(FrameType::get, "/");
    session.wait({}, Clock::now());
    const auto heard = guest_.hear_of(FrameType::get);
    return heard ? heard->session : guest::kControlSession;
  }

  FakeGuest guest_;
  FakeHost host_{guest_, {}};
};

TEST_F(SessionsTest, DeliverFramesToTheirSession) {
  GuestSession first(host_.connection, {});
  GuestSession second(host_.connection, {});
  const std::uint16_t of_first = request(first);
  const std::uint16_t of_second = request(second);
  EXPECT_NE(of_first, of_second);
  guest_.say(FrameType::output, "for the second", of_second);
  guest_.say(FrameType::output, "for the first", of_first);
  EXPECT_EQ(first.next(Clock::now() + testing::kHang).payload, "for the first");
  EXPECT_EQ(second.next(Clock::now() + testing::kHang).payload, "for the second");
}

TEST_F(SessionsTest, UnreadSessionDoesNotStopOthers) {
  GuestSession unread(host_.connection, {});
  GuestSession read(host_.connection, {});
  const std::uint16_t of_unread = request(unread);
  const std::uint16_t of_read = request(read);
  for (std::size_t said = 0; said + (16 << 10) < guest::kOutputWindow; said += 16 << 10) {
    guest_.say(FrameType::output, std::string((16 << 10) - guest::kHeaderSize, 'x'), of_unread);
  }
  guest_.say(FrameType::output, "here", of_read);
  EXPECT_EQ(read.next(Clock::now() + testing::kHang).payload, "here");
}

TEST_F(SessionsTest, AbandonTellsGuest) {
  std::uint16_t number = 0;
  {
    GuestSession session(host_.connection, {});
    number = request(session);
  }
  const auto heard = guest_.hear_of(FrameType::abandon);
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->session, number);
}

TEST_F(SessionsTest, EndedSessionIsNotAbandoned) {
  {
    GuestSession session(host_.connection, {});
    guest_.say(FrameType::done, {}, request(session));
    EXPECT_EQ(session.next(Clock::now() + testing::kHang).type, FrameType::done);
    session.send(FrameType::input, "too late");
  }
  GuestSession next(host_.connection, {});
  next.send(FrameType::get, "/");
  next.wait({}, Clock::now());
  const auto heard = guest_.hear();
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->type, FrameType::get);
}

TEST_F(SessionsTest, FramesOfUnknownSessionsAreDropped) {
  GuestSession session(host_.connection, {});
  const std::uint16_t number = request(session);
  guest_.say(FrameType::output, "for nobody", 4711);
  guest_.say(FrameType::output, "here", number);
  EXPECT_EQ(session.next(Clock::now() + testing::kHang).payload, "here");
  EXPECT_FALSE(host_.session.try_next());
}

// More than there are numbers.
TEST_F(SessionsTest, NumbersOfEndedSessionsAreUsedAgain) {
  std::jthread guest([&] {
    while (const auto heard = guest_.hear()) {
      if (heard->type == FrameType::signal) break;
      if (heard->type == FrameType::get) guest_.say(FrameType::done, {}, heard->session);
    }
  });
  for (int i = 0; i < 70'000; ++i) {
    GuestSession session(host_.connection, {});
    session.send(FrameType::get, "/");
    ASSERT_EQ(session.next(Clock::now() + testing::kHang).type, FrameType::done);
  }
  host_.session.send(FrameType::signal);
  host_.session.wait({}, Clock::now());
}

TEST_F(SessionsTest, EndOfMachineEndsAllSessions) {
  GuestSession first(host_.connection, {});
  GuestSession second(host_.connection, {});
  request(first);
  guest_.end("Kernel panic");
  EXPECT_THROW(first.next(Clock::now() + testing::kHang), MachineLost);
  EXPECT_THROW(second.next(Clock::now() + testing::kHang), MachineLost);
}

TEST_F(GuestSessionTest, HandshakeSendsClockSeedAndName) {
  const auto now = [] {
    return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
  };
  const std::int64_t before = now();
  std::jthread guest([&] {
    const auto heard = guest_.hear_of(FrameType::start);
    ASSERT_TRUE(heard);
    std::string_view payload = heard->payload;
    const auto start = fixed_part<guest::StartPayload>(payload);
    EXPECT_GE(start.nanoseconds_since_1970, before);
    EXPECT_LE(start.nanoseconds_since_1970, now());
    EXPECT_NE(payload_bytes(start).substr(8), std::string(guest::kSeedBytes, '\0'));
    EXPECT_EQ(payload, "debian-12");
    guest_.say(FrameType::output, "left over");
    guest_.say_fixed(FrameType::ready, guest::NumberPayload{guest::kProtocolVersion});
  });
  handshake(session_, "debian-12", Clock::now() + testing::kHang);
}

TEST_F(GuestSessionTest, RejectsOtherProtocolVersion) {
  guest_.say_fixed(FrameType::ready, guest::NumberPayload{guest::kProtocolVersion + 1});
  EXPECT_THROW(handshake(session_, "host", Clock::now() + testing::kHang), Error);
}

// A machine that is being saved must not find half a frame.
TEST(HeldConnection, OnlyTheControlSessionSends) {
  FakeGuest guest;
  const std::stop_source stop;
  FakeHost host(guest, stop.get_token());
  GuestSession other(host.connection, stop.get_token());
  host.connection.hold();
  other.send(FrameType::sync);
  static_cast<void>(other.wait({}, Clock::now()));
  host.session.send(FrameType::hold);
  static_cast<void>(host.session.wait({}, Clock::now()));
  EXPECT_EQ(guest.hear()->type, FrameType::hold) << "ahead of what waits";
  EXPECT_FALSE(guest.hear(50));
  host.connection.proceed();
  const auto heard = guest.hear();
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->type, FrameType::sync);
  EXPECT_EQ(heard->session, other.number());
}

TEST(AdoptedSession, IsAskedForBeforeItIsFollowed) {
  FakeGuest guest;
  const std::stop_source stop;
  FakeHost host(guest, stop.get_token());
  host.connection.adopt_session(7);
  const auto heard = guest.hear();
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->type, FrameType::keep);
  EXPECT_EQ(heard->session, 7);
  guest.say(FrameType::output, "before", 7);
  {
    GuestSession session(host.connection, stop.get_token(), GuestSession::Adopted{7});
    EXPECT_EQ(session.next(Clock::now() + testing::kHang).payload, "before");
    EXPECT_NE(GuestSession(host.connection, stop.get_token()).number(), 7) << "it is taken";
  }
  EXPECT_EQ(guest.hear_of(FrameType::abandon)->session, 7) << "nobody follows it any more";
  EXPECT_THROW(GuestSession(host.connection, stop.get_token(), GuestSession::Adopted{8}), Error);
}

}  // namespace
}  // namespace pyro
