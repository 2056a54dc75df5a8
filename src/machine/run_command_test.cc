// Tests of one command in a guest that is the test itself.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <csignal>
#include <functional>
#include <thread>

#include "machine/fake_guest.h"
#include "machine/guest_requests.h"

namespace pyro {
namespace {

using guest::FrameType;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

Fd memory_file(std::string_view content = {}) {
  Fd file(::memfd_create("test", MFD_CLOEXEC));
  write_all(file.get(), content, "test");
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

std::string content_of(const Fd& file) {
  std::string bytes(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
  EXPECT_EQ(::pread(file.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return bytes;
}

std::pair<Fd, Fd> pipe_ends() {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

class RunCommandTest : public ::testing::Test {
 protected:
  RunCommandTest() { std::signal(SIGPIPE, SIG_IGN); }

  CommandEnd run() {
    options_.output = output_.get();
    options_.error_output = error_output_.get();
    FakeHost host(guest_, stop_.get_token());
    return run_command(host.session, options_, kill_timeout_);
  }

  std::string failure() {
    try {
      static_cast<void>(run());
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  }

  void say_exit(std::uint32_t code, std::uint32_t signal = 0) {
    guest_.say_fixed(FrameType::exited, guest::ExitPayload{code, signal});
  }

  /// Takes input until `most` bytes of it are there, or there is no more; how many they are.
  std::size_t hear_input(std::size_t most, int timeout) {
    std::size_t size = 0;
    while (size < most) {
      const auto heard = guest_.hear(timeout);
      if (!heard) break;
      if (heard->type == FrameType::input) size += heard->payload.size();
    }
    return size;
  }
  std::size_t hear_input(std::size_t wanted) { return hear_input(wanted, FakeGuest::kTimeout); }

  void expect_no_input() {
    std::jthread guest([&] {
      const auto heard = guest_.hear_of(FrameType::run);
      ASSERT_TRUE(heard);
      EXPECT_EQ(static_cast<int>(heard->payload[offsetof(guest::RunPayload, input)]), 0);
      EXPECT_FALSE(guest_.hear(50));
      say_exit(0);
    });
    static_cast<void>(run());
  }

  FakeGuest guest_;
  std::stop_source stop_;
  std::chrono::milliseconds kill_timeout_{20'000};
  CommandOptions options_{.command = {"program", "", "[a,b]", "--"}};
  Fd output_ = memory_file();
  Fd error_output_ = memory_file();
};

TEST_F(RunCommandTest, SendsArgumentsVariablesAndDirectory) {
  options_.variables = {"A=1", "A="};
  options_.directory = "/work";
  std::vector<std::string> told;
  std::jthread guest([&] {
    for (auto heard = guest_.hear(); heard && heard->type != FrameType::run;
         heard = guest_.hear()) {
      told.push_back(std::to_string(static_cast<int>(heard->type)) + ' ' + heard->payload);
    }
    say_exit(0);
  });
  static_cast<void>(run());
  guest.join();
  EXPECT_THAT(told, ::testing::ElementsAre("2 program", "2 ", "2 [a,b]", "2 --", "3 A=1",
                                           "3 A=", "4 /work"));
}

TEST_F(RunCommandTest, SeparatesOutputAndErrorOutput) {
  guest_.say(FrameType::output, std::string("a\0", 2));
  guest_.say(FrameType::error_output, "e");
  guest_.say(FrameType::output, "b");
  say_exit(0);
  static_cast<void>(run());
  EXPECT_EQ(content_of(output_), std::string("a\0b", 3));
  EXPECT_EQ(content_of(error_output_), "e");
}

TEST_F(RunCommandTest, ReportsExitCodeAndSignal) {
  say_exit(7);
  EXPECT_EQ(run().code, 7);
  say_exit(0, SIGKILL);
  EXPECT_EQ(run().signal, SIGKILL);
  say_exit(0x1234, 0xff);
  const CommandEnd odd = run();
  EXPECT_EQ(odd.code, 0x34) << "what no process has is cut";
  EXPECT_EQ(odd.signal, 0x7f);
}

TEST_F(RunCommandTest, TruncatesLongRefusal) {
  guest_.say_fixed(FrameType::refused, guest::RefusalPayload{ENOENT}, std::string(100'000, 'x'));
  EXPECT_LT(run().refusal.size(), 5'000u);
}

TEST_F(RunCommandTest, ReportsRefusal) {
  guest_.say_fixed(FrameType::refused, guest::RefusalPayload{ENOENT}, "cannot run program");
  const CommandEnd end = run();
  EXPECT_EQ(end.refused, ENOENT);
  EXPECT_EQ(end.refusal, "cannot run program");
}

struct InvalidRun {
  const char* name;
  std::string bytes;

  friend void PrintTo(const InvalidRun& self, std::ostream* out) { *out << self.name; }
};

class InvalidRunTest : public RunCommandTest, public ::testing::WithParamInterface<InvalidRun> {};

TEST_P(InvalidRunTest, IsRejected) {
  guest_.say_bytes(GetParam().bytes);
  EXPECT_THAT(failure(), HasSubstr("does not keep to the protocol"));
}

INSTANTIATE_TEST_SUITE_P(
    Guests, InvalidRunTest,
    ::testing::Values(InvalidRun{"Text", "GET / HTTP/1.1\r\n\r\n"},
                      InvalidRun{"UnknownFrame", frame_bytes(FrameType{77})},
                      InvalidRun{"HostFrame", frame_bytes(FrameType::argument, "x")},
                      InvalidRun{"TruncatedExit", frame_bytes(FrameType::exited, "abc")},
                      InvalidRun{"TruncatedRefusal", frame_bytes(FrameType::refused)},
                      InvalidRun{"TruncatedTaken", frame_bytes(FrameType::taken, "x")}),
    [](const auto& row) { return row.param.name; });

TEST_F(RunCommandTest, EndOfMachineDuringCommandIsReported) {
  guest_.say(FrameType::output, "so far");
  guest_.end("Kernel panic - not syncing");
  EXPECT_THAT(failure(), HasSubstr("Kernel panic"));
  EXPECT_EQ(content_of(output_), "so far");
}

TEST_F(RunCommandTest, UsesFirstExitOnly) {
  say_exit(3);
  say_exit(4);
  EXPECT_EQ(run().code, 3);
}

TEST_F(RunCommandTest, IgnoresOutputAfterExit) {
  say_exit(3);
  guest_.say(FrameType::output, "late");
  EXPECT_EQ(run().code, 3);
  EXPECT_EQ(content_of(output_), "");
}

TEST_F(RunCommandTest, ForwardsClosedReaderToGuest) {
  auto [reader, writer] = pipe_ends();
  reader.reset();
  output_ = std::move(writer);
  guest_.say(FrameType::output, "to nobody");
  std::jthread guest([&] {
    const auto heard = guest_.hear_of(FrameType::closed);
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->payload, payload_bytes(guest::StreamPayload{guest::Stream::output}));
    guest_.say(FrameType::output, "still to nobody");
    say_exit(0, SIGPIPE);
  });
  EXPECT_EQ(run().signal, SIGPIPE);
}

TEST_F(RunCommandTest, SlowReaderSlowsGuest) {
  auto [reader, writer] = pipe_ends();
  output_ = std::move(writer);
  options_.timeout = 2s;
  options_.stop_timeout = kill_timeout_ = 20ms;
  std::jthread guest([&] {
    for (int i = 0; i < 8; ++i) guest_.say(FrameType::output, std::string(100'000, 'x'));
    std::size_t granted = 0;
    for (auto heard = guest_.hear(); heard; heard = guest_.hear(500)) {
      std::string_view payload = heard->payload;
      if (heard->type != FrameType::granted) continue;
      granted += fixed_part<guest::NumberPayload>(payload).number;
    }
    EXPECT_LE(granted, 100'000 + guest::kHeaderSize);
  });
  EXPECT_TRUE(run().timed_out);
}

TEST_F(RunCommandTest, WaitsForSlowReaderAfterExit) {
  auto [reader, writer] = pipe_ends();
  output_ = std::move(writer);
  options_.timeout = 500ms;
  const auto timeout_is_over = std::chrono::steady_clock::now() + 600ms;
  guest_.say(FrameType::output, std::string(100'000, 'x'));
  guest_.say(FrameType::output, std::string(1'000, 'y'));
  std::jthread slow([&] {
    guest_.wait_until_taken();
    std::this_thread::sleep_until(timeout_is_over);
    std::string all(101'000, '\0');
    for (std::size_t got = 0; got < all.size();) {
      const ssize_t n = ::read(reader.get(), all.data() + got, all.size() - got);
      ASSERT_GT(n, 0);
      got += static_cast<std::size_t>(n);
    }
    EXPECT_EQ(all, std::string(100'000, 'x') + std::string(1'000, 'y'));
  });
  say_exit(0);
  EXPECT_FALSE(run().timed_out);
}

TEST_F(RunCommandTest, FullDiskEndsCommand) {
  output_ = Fd(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  guest_.say(FrameType::output, "x");
  EXPECT_THAT(failure(), HasSubstr("No space left on device"));
}

TEST_F(RunCommandTest, SendsNoInputBeyondWindow) {
  const Fd input = memory_file(std::string(1 << 20, 'x'));
  options_.input = input.get();
  std::jthread guest([&] {
    EXPECT_EQ(hear_input(guest::kInputWindow), guest::kInputWindow);
    guest_.say_fixed(FrameType::taken, guest::NumberPayload{1000});
    EXPECT_EQ(hear_input(1000), 1000u);
    // More than was sent: it counts as all of it.
    guest_.say_fixed(FrameType::taken, guest::NumberPayload{~0U});
    EXPECT_EQ(hear_input(guest::kInputWindow), guest::kInputWindow);
    say_exit(0);
  });
  static_cast<void>(run());
  guest.join();
  EXPECT_EQ(hear_input(1, 0), 0u) << "there is more, and it stays here";
}

TEST_F(RunCommandTest, SendsEndOfInput) {
  const Fd input = memory_file("abc");
  options_.input = input.get();
  std::jthread guest([&] {
    EXPECT_EQ(guest_.hear_of(FrameType::input)->payload, "abc");
    EXPECT_EQ(guest_.hear_of(FrameType::input)->payload, "");
    say_exit(0);
  });
  static_cast<void>(run());
}

TEST_F(RunCommandTest, SendsNothingWithoutInput) {
  expect_no_input();
}

TEST_F(RunCommandTest, TreatsNullDeviceAsNoInput) {
  const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDONLY, 0, "/dev/null");
  options_.input = null.get();
  expect_no_input();
}

TEST_F(RunCommandTest, TimeoutSendsSigterm) {
  options_.timeout = 50ms;
  std::jthread guest([&] {
    const auto heard = guest_.hear_of(FrameType::signal);
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->payload, payload_bytes(guest::NumberPayload{SIGTERM}));
    guest_.say(FrameType::output, "bye");
    say_exit(0, SIGTERM);
  });
  const CommandEnd end = run();
  EXPECT_TRUE(end.timed_out);
  EXPECT_FALSE(end.cut_off) << "what it left can be asked for";
  EXPECT_EQ(content_of(output_), "bye");
}

TEST_F(RunCommandTest, CommandThatIgnoresSigtermIsKilled) {
  options_.timeout = 20ms;
  options_.stop_timeout = 20ms;
  std::jthread guest([&] {
    EXPECT_EQ(guest_.hear_of(FrameType::signal)->payload,
              payload_bytes(guest::NumberPayload{SIGTERM}));
    EXPECT_EQ(guest_.hear_of(FrameType::signal)->payload,
              payload_bytes(guest::NumberPayload{SIGKILL}));
    say_exit(0, SIGKILL);
  });
  const CommandEnd end = run();
  EXPECT_TRUE(end.timed_out);
  EXPECT_EQ(end.signal, SIGKILL);
  EXPECT_FALSE(end.cut_off) << "what it left can be asked for";
}

TEST_F(RunCommandTest, GivesUpIfGuestDoesNotKillCommand) {
  options_.timeout = 20ms;
  options_.stop_timeout = 20ms;
  kill_timeout_ = 20ms;
  const CommandEnd end = run();
  EXPECT_TRUE(end.timed_out);
  EXPECT_TRUE(end.cut_off);
  EXPECT_EQ(end.signal, SIGKILL);
}

TEST_F(RunCommandTest, FloodOfOutputEndsAtTimeout) {
  output_ = Fd(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  options_.timeout = 50ms;
  options_.stop_timeout = kill_timeout_ = 50ms;
  std::jthread guest([&](const std::stop_token& over) {
    std::string frames;  // so many at once that there is always one left
    for (int i = 0; i < 1000; ++i) frames += frame_bytes(FrameType::output, "x");
    guest_.flood(frames, over);
  });
  EXPECT_TRUE(run().timed_out);
}

TEST_F(RunCommandTest, ForwardsStopAsSigint) {
  std::jthread guest([&] {
    static_cast<void>(guest_.hear_of(FrameType::run));
    stop_.request_stop();
    const auto heard = guest_.hear_of(FrameType::signal);
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->payload, payload_bytes(guest::NumberPayload{SIGINT}));
    guest_.say(FrameType::output, "bye");
    say_exit(7);
  });
  const CommandEnd end = run();
  EXPECT_TRUE(end.interrupted);
  EXPECT_EQ(end.code, 7) << "its own end counts";
  EXPECT_EQ(content_of(output_), "bye");
}

TEST_F(RunCommandTest, ForwardsNumberOfStopSignal) {
  options_.stop_signal = [] { return SIGHUP; };
  stop_.request_stop();
  std::jthread guest([&] {
    const auto heard = guest_.hear_of(FrameType::signal);
    ASSERT_TRUE(heard);
    EXPECT_EQ(heard->payload, payload_bytes(guest::NumberPayload{SIGHUP}));
    say_exit(0, SIGHUP);
  });
  EXPECT_EQ(run().signal, SIGHUP);
}

TEST_F(RunCommandTest, ForwardsStopAfterTimeout) {
  options_.timeout = 20ms;
  std::jthread guest([&] {
    EXPECT_EQ(guest_.hear_of(FrameType::signal)->payload,
              payload_bytes(guest::NumberPayload{SIGTERM}));
    stop_.request_stop();
    EXPECT_EQ(guest_.hear_of(FrameType::signal)->payload,
              payload_bytes(guest::NumberPayload{SIGINT}));
    say_exit(0);
  });
  EXPECT_TRUE(run().timed_out);
}

TEST_F(RunCommandTest, StopEndsWaitForReaderAfterExit) {
  auto [reader, writer] = pipe_ends();
  output_ = std::move(writer);
  guest_.say(FrameType::output, std::string(100'000, 'x'));
  say_exit(0);
  std::jthread stopper([&] {
    std::array<char, 1> byte;
    ASSERT_EQ(::read(reader.get(), byte.data(), 1), 1) << "and no more";
    stop_.request_stop();
  });
  EXPECT_TRUE(run().interrupted);
}

TEST_F(RunCommandTest, ForwardsOtherSignals) {
  auto [reader, writer] = pipe_ends();
  ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  options_.signals = reader.get();
  const char numbers[] = {SIGUSR1, SIGQUIT};
  ASSERT_EQ(::write(writer.get(), numbers, 2), 2);
  std::jthread guest([&] {
    for (const char number : numbers) {
      EXPECT_EQ(guest_.hear_of(FrameType::signal)->payload,
                payload_bytes(guest::NumberPayload{static_cast<std::uint32_t>(number)}));
    }
    writer.reset();
    say_exit(3);
  });
  const CommandEnd end = run();
  EXPECT_EQ(end.code, 3);
  EXPECT_FALSE(end.interrupted);
}

TEST_F(RunCommandTest, EndOfMachineAfterTimeoutIsNoError) {
  options_.timeout = 20ms;
  std::jthread guest([&] {
    ASSERT_TRUE(guest_.hear_of(FrameType::signal));
    guest_.end();
  });
  const CommandEnd end = run();
  EXPECT_TRUE(end.timed_out);
  EXPECT_TRUE(end.cut_off);
}

TEST_F(RunCommandTest, EndOfMachineAfterStopIsNoError) {
  stop_.request_stop();
  std::jthread guest([&] {
    ASSERT_TRUE(guest_.hear_of(FrameType::signal));
    guest_.end();
  });
  const CommandEnd end = run();
  EXPECT_TRUE(end.interrupted);
  EXPECT_TRUE(end.cut_off);
}

TEST_F(RunCommandTest, ReleasesLeaseWhenCommandEnds) {
  const auto lease = std::make_shared<int>();
  options_.before_command = [&] {
    EXPECT_FALSE(guest_.hear(0)) << "nothing has been asked for yet";
    return lease;
  };
  std::jthread guest([&] {
    ASSERT_TRUE(guest_.hear_of(FrameType::run));
    EXPECT_GT(lease.use_count(), 1);
    say_exit(0);
  });
  static_cast<void>(run());
  options_.before_command = nullptr;
  EXPECT_EQ(lease.use_count(), 1);
}

TEST_F(RunCommandTest, RejectsTextsWithZeroBytes) {
  const std::string text("A=b\0c", 5);
  options_.command.push_back(text);
  EXPECT_THAT(failure(), HasSubstr("a zero byte behind 'A=b'"));
  options_.command.pop_back();
  options_.variables = {text};
  EXPECT_THAT(failure(), HasSubstr("a zero byte behind 'A=b'"));
  options_.variables.clear();
  options_.directory = text;
  EXPECT_THAT(failure(), HasSubstr("a zero byte behind 'A=b'"));
}

TEST_F(RunCommandTest, RejectsArgumentLongerThanLinuxAllows) {
  options_.command.push_back(std::string(guest::kMaxPayload, 'x'));
  EXPECT_THAT(failure(), HasSubstr("longer than Linux allows"));
}

}  // namespace
}  // namespace pyro
