// Tests of ports of the host that lead to a machine.
#include "machine/published_port.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <thread>
#include <tuple>

#include "machine/fake_guest.h"

namespace pyro {
namespace {

using guest::FrameType;
using ::testing::HasSubstr;

TEST(PortOptionsTest, ParsesAddressesAndPorts) {
  const auto parsed = [](const char* text) {
    const PortOptions options = parse_port_options(text);
    return std::tuple(options.address, options.port, options.guest_port);
  };
  EXPECT_EQ(parsed("8080:80"), std::tuple("127.0.0.1", 8080, 80));
  EXPECT_EQ(parsed("0:80"), std::tuple("127.0.0.1", 0, 80));
  EXPECT_EQ(parsed("0.0.0.0:8080:80"), std::tuple("0.0.0.0", 8080, 80));
  EXPECT_EQ(parsed("[::1]:8080:80"), std::tuple("::1", 8080, 80));
  EXPECT_EQ(parsed("127.0.0.1:65535:65535"), std::tuple("127.0.0.1", 65535, 65535));
}

TEST(PortOptionsTest, RejectsWhatIsNoPort) {
  for (const char* const text : {"", "80", ":80", "80:", "80:0", "80:65536", "65536:80", "-1:80",
                                 "80:x", " 80:80", "::1:80:80", "host:80:80", "[host]:80:80",
                                 "1.2.3:80:80", ":80:80", "[]:80:80", "80:80/udp"}) {
    try {
      static_cast<void>(parse_port_options(text));
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage) << text;
    }
  }
}

class PublishedPortTest : public ::testing::Test {
 protected:
  PublishedPortTest() { port_->serve(connection_); }

  [[nodiscard]] Fd connect() const {
    Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port_->options().port);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return client;
  }

  /// Until the end of the stream, or its error.
  static std::string read_to_end(int client, int& error) {
    std::string all;
    std::array<char, 4096> piece;
    ssize_t got = 0;
    while ((got = ::recv(client, piece.data(), piece.size(), 0)) > 0) {
      all.append(piece.data(), static_cast<std::size_t>(got));
    }
    error = got < 0 ? errno : 0;
    return all;
  }

  FakeGuest::Heard hear_connect() {
    const auto heard = guest_.hear_of(FrameType::connect);
    EXPECT_TRUE(heard);
    guest::ConnectPayload connect;
    std::memcpy(&connect, heard->payload.data(), sizeof connect);
    EXPECT_EQ(connect.port, 80);
    return *heard;
  }

  FakeGuest guest_;
  GuestConnection connection_{guest_};
  std::unique_ptr<PublishedPort> port_ =
      std::make_unique<PublishedPort>(PortOptions{.guest_port = 80});
};

TEST_F(PublishedPortTest, PassesBytesAndEndsOnBothWays) {
  const Fd client = connect();
  const std::uint16_t session = hear_connect().session;
  ASSERT_EQ(::send(client.get(), "question", 8, 0), 8);
  EXPECT_EQ(guest_.hear_of(FrameType::input)->payload, "question");
  ::shutdown(client.get(), SHUT_WR);
  EXPECT_EQ(guest_.hear_of(FrameType::input)->payload, "");
  guest_.say(FrameType::output, "answer", session);
  guest_.say(FrameType::output, "", session);
  guest_.say(FrameType::done, "", session);
  int error = 0;
  EXPECT_EQ(read_to_end(client.get(), error), "answer");
  EXPECT_EQ(error, 0);
}

TEST_F(PublishedPortTest, ConnectionsStayApart) {
  const Fd one = connect();
  const std::uint16_t first = hear_connect().session;
  const Fd other = connect();
  const std::uint16_t second = hear_connect().session;
  EXPECT_NE(first, second);
  for (const auto& [session, text] : {std::pair(second, "second"), std::pair(first, "first")}) {
    guest_.say(FrameType::output, text, session);
    guest_.say(FrameType::done, "", session);
  }
  int error = 0;
  EXPECT_EQ(read_to_end(one.get(), error), "first");
  EXPECT_EQ(read_to_end(other.get(), error), "second");
}

TEST_F(PublishedPortTest, RefusedConnectionIsReset) {
  const Fd client = connect();
  guest_.say(FrameType::refused, payload_bytes(guest::RefusalPayload{ECONNREFUSED}),
             hear_connect().session);
  int error = 0;
  EXPECT_EQ(read_to_end(client.get(), error), "");
  EXPECT_EQ(error, ECONNRESET);
}

TEST_F(PublishedPortTest, ClientThatLeavesAbandonsItsSession) {
  Fd client = connect();
  const std::uint16_t session = hear_connect().session;
  constexpr linger kReset{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &kReset, sizeof kReset);
  client.reset();
  EXPECT_EQ(guest_.hear_of(FrameType::abandon)->session, session);
}

TEST_F(PublishedPortTest, InputStaysWithinItsWindow) {
  const Fd client = connect();
  const std::uint16_t session = hear_connect().session;
  constexpr std::size_t kSize = 4 * guest::kInputWindow;
  std::jthread writer([&] {
    const std::string bytes(kSize, 'x');
    EXPECT_EQ(::send(client.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
  });
  std::size_t untaken = 0, all = 0;
  while (all < kSize) {
    const auto heard = guest_.hear_of(FrameType::input);
    ASSERT_TRUE(heard);
    all += heard->payload.size();
    untaken += heard->payload.size();
    ASSERT_LE(untaken, guest::kInputWindow);
    if (untaken < guest::kInputWindow && all < kSize) continue;
    guest_.say(FrameType::taken,
               payload_bytes(guest::NumberPayload{static_cast<std::uint32_t>(untaken)}), session);
    untaken = 0;
  }
}

TEST_F(PublishedPortTest, EndOfMachineEndsConnections) {
  const Fd client = connect();
  hear_connect();
  guest_.end();
  int error = 0;
  EXPECT_EQ(read_to_end(client.get(), error), "");
}

TEST_F(PublishedPortTest, ClosedPortEndsItsConnections) {
  const Fd client = connect();
  const std::uint16_t session = hear_connect().session;
  port_.reset();
  EXPECT_EQ(guest_.hear_of(FrameType::abandon)->session, session);
  int error = 0;
  EXPECT_EQ(read_to_end(client.get(), error), "");
}

TEST_F(PublishedPortTest, InvalidFrameEndsItsConnectionOnly) {
  const Fd client = connect();
  guest_.say(FrameType::exited, payload_bytes(guest::ExitPayload{}), hear_connect().session);
  int error = 0;
  EXPECT_EQ(read_to_end(client.get(), error), "");
  const Fd next = connect();
  guest_.say(FrameType::output, "fine", hear_connect().session);
  std::array<char, 4> bytes{};
  EXPECT_EQ(::recv(next.get(), bytes.data(), bytes.size(), MSG_WAITALL), 4);
}

TEST_F(PublishedPortTest, TakenPortIsAnError) {
  try {
    const PublishedPort other({.port = port_->options().port, .guest_port = 80});
    FAIL() << "it listens";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::failed);
    EXPECT_THAT(error.what(), HasSubstr("cannot listen at 127.0.0.1:"));
    EXPECT_THAT(error.what(), HasSubstr("Address already in use"));
  }
}

}  // namespace
}  // namespace pyro
