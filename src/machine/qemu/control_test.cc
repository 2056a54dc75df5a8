// Tests of saving and resuming a machine, against a fake QEMU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <thread>
#include <vector>

#include "machine/qemu/qemu.h"
#include "pyro/error.h"
#include "support/process.h"

namespace pyro {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kGreeting = R"({"QMP": {"version": {}}})";
constexpr const char* kEmptyReturn = R"({"return": {}})";
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

  /// The error; empty on success.
  std::string save(const ControlTimeout& timeout) {
    return failure_of([&] { control_->save(0, timeout); });
  }

  template <typename Function>
  std::string failure_of(const Function& function) {
    try {
      function();
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

ControlTimeout enough(std::stop_token stop = {}) {
  return {.deadline = Clock::now() + testing::kHang, .stop = std::move(stop)};
}
ControlTimeout little() {
  return {.deadline = Clock::now() + 100ms, .stop = {}};
}

TEST_F(QemuControlTest, IgnoresGreetingAndEvents) {
  answer({std::string(kGreeting) + '\n' + kEmptyReturn, kEmptyReturn, kEmptyReturn,
          std::string(R"({"event": "STOP"})") + '\n' + kEmptyReturn, kActive,
          R"({"return": {"status": "completed"}})"});
  EXPECT_EQ(save(enough()), "");
}

TEST_F(QemuControlTest, ReportsReasonOfFailedSave) {
  answer({kEmptyReturn, kEmptyReturn, kEmptyReturn, kEmptyReturn,
          R"({"return": {"status": "failed", "error-desc": "No space left on device"}})"});
  EXPECT_THAT(save(enough()), HasSubstr("could not be saved: No space left on device"));
}

TEST_F(QemuControlTest, ReportsErrorOfSave) {
  answer({R"({"error": {"class": "GenericError", "desc": "not now"}})"});
  EXPECT_EQ(save(enough()), "the machine monitor: not now");
}

TEST_F(QemuControlTest, ReportsErrorOfResume) {
  answer({std::string(kGreeting) + '\n' + kEmptyReturn + '\n' +
          R"({"error": {"desc": "unknown capability"}})"});
  EXPECT_EQ(failure_of([&] { control_->resume(enough()); }),
            "the machine monitor: unknown capability");
}

TEST_F(QemuControlTest, ResumesAfterAnswerToEachCommand) {
  answer(
      {std::string(kGreeting) + '\n' + kEmptyReturn + '\n' + kEmptyReturn + '\n' + kEmptyReturn});
  EXPECT_EQ(failure_of([&] { control_->resume(enough()); }), "");
}

struct InvalidQemuAnswer {
  const char* name;
  const char* line;
  const char* told;

  friend void PrintTo(const InvalidQemuAnswer& self, std::ostream* out) { *out << self.name; }
};

class InvalidQemuAnswerTest : public QemuControlTest,
                              public ::testing::WithParamInterface<InvalidQemuAnswer> {};

TEST_P(InvalidQemuAnswerTest, FailsWithReason) {
  answer({GetParam().line});
  EXPECT_THAT(save(enough()), HasSubstr(GetParam().told));
  EXPECT_EQ(code_, ErrorCode::failed);
}

INSTANTIATE_TEST_SUITE_P(
    Answers, InvalidQemuAnswerTest,
    ::testing::Values(
        InvalidQemuAnswer{"Number", "7", "no JSON object"},
        InvalidQemuAnswer{"Array", "[]", "no JSON object"},
        InvalidQemuAnswer{"Text", "\"x\"", "no JSON object"},
        InvalidQemuAnswer{"Null", "null", "no JSON object"},
        InvalidQemuAnswer{"NoJson", "QEMU 9", "not valid JSON"},
        InvalidQemuAnswer{"EmptyLine", "", "not valid JSON"},
        InvalidQemuAnswer{"ErrorOfText", R"({"error": "no"})", "it refuses"},
        InvalidQemuAnswer{"ErrorOfNull", R"({"error": null})", "it refuses"},
        InvalidQemuAnswer{"ReasonOfNumbers", R"({"error": {"desc": 7}})", "it refuses"},
        InvalidQemuAnswer{"TwoAnswers", R"({"return": {}, "return": {}})", "given twice"}),
    [](const auto& row) { return std::string(row.param.name); });

TEST_F(QemuControlTest, IgnoresInvalidStatus) {
  answer({kEmptyReturn, kEmptyReturn, kEmptyReturn, kEmptyReturn, R"({"return": 7})",
          R"({"return": {"status": 7}})", R"({"return": {"status": "completed"}})"});
  EXPECT_EQ(save(enough()), "");
}

TEST(QemuAnswers, RejectsLineLongerThan1MiB) {
  QemuAnswers answers;
  answers.add(std::string((1 << 20) + 1, ' '));
  EXPECT_THROW(static_cast<void>(answers.next()), Error);
}

TEST(QemuAnswers, TruncatesLongReason) {
  QemuAnswers answers;
  answers.add(R"({"error": {"desc": ")" + std::string(10'000, 'x') + "\"}}\n");
  try {
    static_cast<void>(answers.next());
    FAIL() << "it is no answer";
  } catch (const Error& error) {
    EXPECT_LT(std::string_view(error.what()).size(), 500u);
  }
}

TEST_F(QemuControlTest, ClosedConnectionFails) {
  qemu_.reset();
  EXPECT_THAT(save(enough()), HasSubstr("the machine monitor: it does not"));
}

TEST_F(QemuControlTest, SilentMonitorTimesOut) {
  EXPECT_THAT(save(little()), HasSubstr("in time"));
}

TEST_F(QemuControlTest, EndlessSaveTimesOut) {
  answer({kEmptyReturn, kEmptyReturn, kEmptyReturn, kEmptyReturn, kActive});
  EXPECT_THAT(save(little()), HasSubstr("in time"));
}

TEST_F(QemuControlTest, EndlessEventsTimeOut) {
  std::jthread talker([this](const std::stop_token& over) {
    const std::string event = "{\"event\": \"STOP\"}\n";
    while (!over.stop_requested()) ::send(qemu_.get(), event.data(), event.size(), MSG_DONTWAIT);
  });
  EXPECT_THAT(save(little()), HasSubstr("in time"));
}

TEST_F(QemuControlTest, StopEndsSave) {
  for (const bool answers : {false, true}) {
    if (answers) answer({kEmptyReturn, kEmptyReturn, kEmptyReturn, kEmptyReturn, kActive});
    std::stop_source source;
    std::jthread stopper([&source] {
      std::this_thread::sleep_for(50ms);
      source.request_stop();
    });
    EXPECT_EQ(save(enough(source.get_token())), "interrupted");
    EXPECT_EQ(code_, ErrorCode::interrupted);
  }
}

}  // namespace
}  // namespace pyro
