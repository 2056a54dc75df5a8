// Tests of frames to and from a guest that may say anything, at any pace.
#include "vm/guest_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "support/process.h"
#include "vm/fake_guest.h"
#include "vm/guest_requests.h"

namespace pyro {
namespace {

using guest::FrameType;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

class GuestLinkTest : public ::testing::Test {
 protected:
  /// What next() throws; empty when it does not.
  std::string failure(Deadline deadline = Clock::now() + testing::kHang) {
    try {
      link_.next(deadline);
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  FakeGuest guest_;
  std::stop_source stop_;
  GuestLink link_{guest_, stop_.get_token()};
};

TEST_F(GuestLinkTest, ReassemblesFramesSplitAnywhere) {
  const std::string both =
      frame_bytes(FrameType::output, "first") + frame_bytes(FrameType::error_output);
  for (std::size_t cut = 0; cut <= both.size(); ++cut) {
    guest_.say_bytes(both.substr(0, cut));
    link_.wait({}, Clock::now());
    guest_.say_bytes(both.substr(cut));
    const GuestFrame first = link_.next(Clock::now() + testing::kHang);
    EXPECT_EQ(first.type, FrameType::output) << cut;
    EXPECT_EQ(first.payload, "first") << cut;
    const GuestFrame second = link_.next(Clock::now() + testing::kHang);
    EXPECT_EQ(second.type, FrameType::error_output) << cut;
    EXPECT_EQ(second.payload, "") << cut;
  }
}

TEST_F(GuestLinkTest, ReceivesLargestFrame) {
  const std::string most(guest::kMaxPayload, 'x');
  std::jthread guest([&] { guest_.say(FrameType::output, most); });
  EXPECT_EQ(link_.next(Clock::now() + testing::kHang).payload, most);
}

TEST_F(GuestLinkTest, RejectsHeaderOfTooLargeFrame) {
  const guest::FrameHeader header{guest::kMaxPayload + 1, FrameType::output, {}};
  guest_.say_bytes(payload_bytes(header));
  EXPECT_THAT(failure(), HasSubstr("does not keep to the protocol"));
}

TEST_F(GuestLinkTest, RejectsTruncatedFixedPart) {
  std::string_view payload = "abc";
  EXPECT_THROW(fixed_part<guest::NumberPayload>(payload), Error);
}

TEST_F(GuestLinkTest, ReportsFatalErrorOfGuest) {
  guest_.say(FrameType::fatal_error, "no disk appeared");
  EXPECT_THAT(failure(), HasSubstr("the guest gives up: no disk appeared"));
}

TEST_F(GuestLinkTest, TruncatesLongFatalError) {
  guest_.say(FrameType::fatal_error, std::string(guest::kMaxPayload, 'x'));
  EXPECT_LT(failure().size(), 5'000u);
}

TEST_F(GuestLinkTest, DeliversFramesSentBeforeEnd) {
  guest_.say(FrameType::output, "last");
  guest_.end();
  EXPECT_EQ(link_.next().payload, "last");
  EXPECT_THROW(link_.next(), MachineLost);
}

TEST_F(GuestLinkTest, ErrorHasLastOutputOfMonitor) {
  guest_.end("qemu: no such file");
  EXPECT_EQ(failure(), "the machine ended: qemu: no such file");
}

TEST_F(GuestLinkTest, ReportsSilentEnd) {
  guest_.end("");
  EXPECT_EQ(failure(), "the machine ended");
}

TEST_F(GuestLinkTest, ReportsExitStatusOfMonitor) {
  guest_.end("", {Loss::monitor, "it exited with status 3"});
  EXPECT_EQ(failure(), "the machine ended: it exited with status 3");
  guest_.end("no such file", {Loss::monitor, "it exited with status 1"});
  EXPECT_EQ(failure(), "the machine ended: no such file");
  guest_.end("booting", {Loss::monitor, "it was killed", "the memory may be full"});
  EXPECT_EQ(failure(), "the machine ended: it was killed: booting");
}

TEST_F(GuestLinkTest, ConsumesStopOnce) {
  stop_.request_stop();
  EXPECT_EQ(failure(), "interrupted");
  EXPECT_TRUE(link_.consume_stop());
  EXPECT_FALSE(link_.consume_stop());
  guest_.say(FrameType::done);
  EXPECT_EQ(failure(), "");
}

TEST_F(GuestLinkTest, TruncatesLongMonitorOutput) {
  guest_.end(std::string(4096, 'x'));
  EXPECT_LT(failure().size(), 500u);
}

TEST_F(GuestLinkTest, WaitTimesOut) {
  EXPECT_EQ(failure(Clock::now() + 20ms), kNoSign);
}

TEST_F(GuestLinkTest, HandshakeWithTalkativeGuestEndsAtDeadline) {
  for (int i = 0; i < 100; ++i) guest_.say(FrameType::output, "junk");
  guest_.say_fixed(FrameType::ready, guest::NumberPayload{guest::kProtocolVersion});
  EXPECT_THROW(handshake(link_, "host", Clock::now()), MachineLost);
}

TEST_F(GuestLinkTest, FloodOfConsoleEndsAtDeadline) {
  guest_.flood_console();
  EXPECT_EQ(failure(Clock::now() + 20ms), kNoSign);
  link_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  for (int i = 0; i < 8; ++i) {
    link_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  }
  EXPECT_THROW(link_.send_all({20ms}), MachineLost);
}

TEST_F(GuestLinkTest, SendAllFailsAfterStop) {
  stop_.request_stop();
  EXPECT_THROW(link_.send_all({10s}), Error);
}

TEST_F(GuestLinkTest, SendAllToSlowGuestFailsAtTotalTimeout) {
  for (int i = 0; i < 100; ++i) {
    link_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  }
  std::jthread guest([&](const std::stop_token& over) {
    while (!over.stop_requested() && guest_.hear(10)) std::this_thread::sleep_for(10ms);
  });
  EXPECT_THROW(link_.send_all({10s, Clock::now() + 100ms}), MachineLost);
  ::shutdown(guest_.channel(), SHUT_WR);  // it may wait for the rest of a frame
}

TEST_F(GuestLinkTest, StopEndsWait) {
  std::jthread user([&] {
    std::this_thread::sleep_for(20ms);
    stop_.request_stop();
  });
  EXPECT_THAT(failure(), HasSubstr("interrupted"));
}

TEST_F(GuestLinkTest, StopEndsSendAllToStalledGuest) {
  link_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  for (int i = 0; i < 8; ++i) {
    link_.send(FrameType::data, std::string(guest::kMaxPayload, 'x'));
  }
  std::jthread user([&] {
    std::this_thread::sleep_for(20ms);
    stop_.request_stop();
  });
  EXPECT_THROW(link_.send_all({10s}), Error);
}

TEST_F(GuestLinkTest, SendsAllAtPaceOfGuest) {
  const std::string piece(guest::kStreamPiece, 'x');
  constexpr int kPieces = 500;
  std::jthread guest([&] {
    for (int i = 0; i < kPieces; ++i) ASSERT_TRUE(guest_.hear());
    guest_.say(FrameType::done);
  });
  for (int i = 0; i < kPieces; ++i) {
    link_.send(FrameType::data, piece);
    link_.send_all({testing::kHang});
    ASSERT_LE(link_.unsent(), 256u << 10);
  }
  EXPECT_EQ(link_.next(Clock::now() + testing::kHang).type, FrameType::done);
}

TEST_F(GuestLinkTest, StopsReadingIfBacklogIsFull) {
  const std::string piece = frame_bytes(FrameType::output, std::string(30 << 10, 'x'));
  std::size_t said = 0;
  for (int i = 0; i < 500; ++i) {
    said += guest_.say_what_fits(piece);
    link_.wait({}, Clock::now());
  }
  EXPECT_LT(said, 2u << 20);
}

TEST_F(GuestLinkTest, HandshakeSendsClockSeedAndName) {
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
  handshake(link_, "debian-12", Clock::now() + testing::kHang);
}

TEST_F(GuestLinkTest, RejectsOtherProtocolVersion) {
  guest_.say_fixed(FrameType::ready, guest::NumberPayload{guest::kProtocolVersion + 1});
  EXPECT_THROW(handshake(link_, "host", Clock::now() + testing::kHang), Error);
}

}  // namespace
}  // namespace pyro
