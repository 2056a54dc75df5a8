// Tests of how a machine is saved, with somebody else in QEMU's place.
#include "vm/qemu_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <thread>
#include <vector>

#include "pyro/error.h"

namespace pyro {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kGreeting = R"({"QMP": {"version": {}}})";
constexpr const char* kDone = R"({"return": {}})";
constexpr const char* kActive = R"({"return": {"status": "active"}})";

class QemuControlTest : public ::testing::Test {
 protected:
  QemuControlTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    control_.emplace(Fd(ends[0]));
    qemu_ = Fd(ends[1]);
  }

  /// Answers each command with the next line, and all after them with the last.
  void answer(std::vector<std::string> lines) {
    server_ = std::jthread([this, lines = std::move(lines)] {
      std::array<char, 4096> command;
      for (std::size_t i = 0;; i += i + 1 < lines.size() ? 1 : 0) {
        if (::recv(qemu_.get(), command.data(), command.size(), 0) <= 0) return;
        const std::string line = lines[i] + '\n';
        if (::send(qemu_.get(), line.data(), line.size(), MSG_NOSIGNAL) < 0) return;
      }
    });
  }

  /// What it fails with.
  std::string save(const ControlPatience& patience) {
    try {
      control_->save(0, patience);
      return {};
    } catch (const Error& error) {
      code_ = error.code();
      return error.what();
    }
  }

  std::optional<QemuControl> control_;
  Fd qemu_;
  ErrorCode code_{};
  std::jthread server_;

  void TearDown() override { control_.reset(); }
};

const ControlPatience kLong{.deadline = Clock::now() + 60s, .stop = {}};
ControlPatience little() {
  return {.deadline = Clock::now() + 100ms, .stop = {}};
}

TEST_F(QemuControlTest, EventsAndTheGreetingArePassedOver) {
  answer({std::string(kGreeting) + '\n' + kDone, kDone, kDone,
          std::string(R"({"event": "STOP"})") + '\n' + kDone, kActive,
          R"({"return": {"status": "completed"}})"});
  EXPECT_EQ(save(kLong), "");
}

TEST_F(QemuControlTest, WhyItFailsIsTold) {
  answer({kDone, kDone, kDone, kDone,
          R"({"return": {"status": "failed", "error-desc": "No space left on device"}})"});
  EXPECT_THAT(save(kLong), HasSubstr("could not be saved: No space left on device"));
}

TEST_F(QemuControlTest, ARefusalIsTold) {
  answer({R"({"error": {"class": "GenericError", "desc": "not now"}})"});
  EXPECT_EQ(save(kLong), "the machine monitor: not now");
}

TEST_F(QemuControlTest, OneThatIsGoneDoesNotAnswer) {
  qemu_.reset();
  EXPECT_THAT(save(kLong), HasSubstr("the machine monitor: it does not"));
}

TEST_F(QemuControlTest, OneThatNeverAnswersIsGivenUp) {
  EXPECT_THAT(save(little()), HasSubstr("in time"));
}

TEST_F(QemuControlTest, SavingWithoutEndIsGivenUp) {
  answer({kDone, kDone, kDone, kDone, kActive});
  EXPECT_THAT(save(little()), HasSubstr("in time"));
}

TEST_F(QemuControlTest, EventsWithoutEndAreGivenUp) {
  std::jthread talker([this](const std::stop_token& over) {
    const std::string event = "{\"event\": \"STOP\"}\n";
    while (!over.stop_requested()) ::send(qemu_.get(), event.data(), event.size(), MSG_DONTWAIT);
  });
  EXPECT_THAT(save(little()), HasSubstr("in time"));
}

TEST_F(QemuControlTest, AStopEndsIt) {
  for (const bool answers : {false, true}) {
    if (answers) answer({kDone, kDone, kDone, kDone, kActive});
    std::stop_source source;
    std::jthread stopper([&source] {
      std::this_thread::sleep_for(50ms);
      source.request_stop();
    });
    EXPECT_EQ(save({.deadline = Clock::now() + 60s, .stop = source.get_token()}), "interrupted");
    EXPECT_EQ(code_, ErrorCode::interrupted);
  }
}

}  // namespace
}  // namespace pyro
