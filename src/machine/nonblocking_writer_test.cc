// Tests of the writer that never blocks.
#include "machine/nonblocking_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <functional>

namespace pyro {
namespace {

struct Ends {
  Fd reader;
  Fd writer;
};

Ends make_pipe_ends() {
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

Ends make_socket_ends() {
  int ends[2];
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

// A terminal whose output is stopped, as by Ctrl-S.
Ends make_stopped_terminal() {
  Fd master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  EXPECT_EQ(::grantpt(master.get()) | ::unlockpt(master.get()), 0);
  Fd slave(::open(::ptsname(master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  termios modes{};
  ::tcgetattr(slave.get(), &modes);
  ::cfmakeraw(&modes);
  ::tcsetattr(slave.get(), TCSANOW, &modes);
  ::tcflow(slave.get(), TCOOFF);
  return {std::move(master), std::move(slave)};
}

struct Kind {
  const char* name;
  std::function<Ends()> make;

  friend void PrintTo(const Kind& self, std::ostream* out) { *out << self.name; }
};

class NonBlockingWriterTest : public ::testing::TestWithParam<Kind> {
 protected:
  NonBlockingWriterTest() { std::signal(SIGPIPE, SIG_IGN); }

  /// The bytes that can be read until the writer has nothing left.
  static std::string drained(NonBlockingWriter& writer, const Fd& reader) {
    std::string got;
    std::string piece(10'000, '\0');
    for (pollfd ready{reader.get(), POLLIN, 0}; ::poll(&ready, 1, 100) == 1;) {
      const ssize_t n = ::read(reader.get(), piece.data(), piece.size());
      if (n <= 0) break;
      got += piece.substr(0, static_cast<std::size_t>(n));
      writer.flush();
    }
    return got;
  }
};

TEST_P(NonBlockingWriterTest, BuffersUnreadBytesAndFlushesThem) {
  const Ends ends = GetParam().make();
  std::string all;
  for (int i = 0; all.size() < 1'000'000; ++i) all += std::to_string(i);
  NonBlockingWriter writer(ends.writer.get(), {});
  writer.write(all);
  EXPECT_FALSE(writer.idle());
  EXPECT_GE(writer.poll_fd(), 0);
  ::tcflow(ends.writer.get(), TCOON);
  writer.flush();
  EXPECT_TRUE(drained(writer, ends.reader) == all);
  EXPECT_TRUE(writer.idle());
  EXPECT_EQ(writer.poll_fd(), -1);
  EXPECT_EQ(::fcntl(ends.writer.get(), F_GETFL) & O_NONBLOCK, 0) << "others write to it, too";
}

INSTANTIATE_TEST_SUITE_P(Kinds, NonBlockingWriterTest,
                         ::testing::Values(Kind{"Pipe", make_pipe_ends},
                                           Kind{"Socket", make_socket_ends},
                                           Kind{"StoppedTerminal", make_stopped_terminal}),
                         [](const auto& row) { return row.param.name; });

TEST(NonBlockingWriter, ReportsClosedReaderOnce) {
  std::signal(SIGPIPE, SIG_IGN);
  for (const auto& make : {make_pipe_ends, make_socket_ends}) {
    Ends ends = make();
    NonBlockingWriter writer(ends.writer.get(), {});
    ends.reader.reset();
    writer.write("x");
    EXPECT_TRUE(writer.consume_closed());
    EXPECT_FALSE(writer.consume_closed());
    writer.write("x");
    EXPECT_TRUE(writer.idle());
  }
}

TEST(NonBlockingWriter, ReportsReaderClosedBeforeFirstWrite) {
  std::signal(SIGPIPE, SIG_IGN);
  Ends ends = make_pipe_ends();
  ends.reader.reset();
  NonBlockingWriter writer(ends.writer.get(), {});
  writer.write("x");
  EXPECT_TRUE(writer.consume_closed());
}

TEST(NonBlockingWriter, DropsBytesBeyondLimit) {
  const Ends ends = make_pipe_ends();
  NonBlockingWriter writer(ends.writer.get(), 5);
  writer.write("abc");
  writer.write("def");
  writer.write("ghi");
  char got[16];
  EXPECT_EQ(std::string_view(got, static_cast<std::size_t>(::read(ends.reader.get(), got, 16))),
            "abcde");
}

}  // namespace
}  // namespace pyro
