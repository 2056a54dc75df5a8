// Machines that a program holds: several commands and copies at the same time.
#include "pyro/machine.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pyro/environment_store.h"
#include "scenarios/machine_harness.h"
#include "support/file_descriptor.h"
#include "support/hash.h"

namespace pyro::testing {
namespace {

using ::testing::Ge;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

/// A file without a name.
class Memory {
 public:
  explicit Memory(std::string_view content = {}) : file_(::memfd_create("test", MFD_CLOEXEC)) {
    EXPECT_EQ(::pwrite(file_.get(), content.data(), content.size(), 0),
              static_cast<ssize_t>(content.size()));
  }

  [[nodiscard]] int descriptor() const { return file_.get(); }
  [[nodiscard]] std::string content() const {
    std::string bytes(static_cast<std::size_t>(::lseek(file_.get(), 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(file_.get(), bytes.data(), bytes.size(), 0),
              static_cast<ssize_t>(bytes.size()));
    return bytes;
  }

 private:
  FileDescriptor file_;
};

class SessionsTest : public MachineHarness {
 protected:
  SessionsTest() { std::signal(SIGPIPE, SIG_IGN); }

  void SetUp() override {
    MachineHarness::SetUp();
    if (!IsSkipped()) machine_ = start();
  }

  static std::unique_ptr<Machine> start() {
    StoreOptions options;
    options.cache_dir = shared_cache();
    const std::array files{shared_catalog()};
    options.catalog = Catalog::load(files);
    EnvironmentStore store(options);
    const MachineOptions machine{
        .memory_mib = 192, .monitor = find_monitor(), .kvm = KvmUse::never, .state_key = kStateKey};
    return std::make_unique<Machine>(store, "tool:1", machine);
  }

  static CommandOptions script(const std::string& text) {
    CommandOptions options;
    options.command = {"sh", "-c", text};
    options.output = options.error_output = null();
    options.timeout = 200s;
    return options;
  }
  static int null() {
    static const FileDescriptor file(::open("/dev/null", O_RDWR | O_CLOEXEC));
    return file.get();
  }

  std::string output_of(const std::string& text) const {
    const Memory output;
    CommandOptions options = script(text);
    options.output = output.descriptor();
    machine_->run(options);
    return output.content();
  }

  /// Each echoes bytes of its own, at the same time.
  static void expect_separate_streams(Machine& machine, std::uint64_t seed) {
    constexpr std::uint64_t kCommands = 4;
    std::vector<std::string> bytes;
    std::vector<std::unique_ptr<Memory>> inputs, outputs;
    std::vector<RunningCommand> running;
    for (std::uint64_t i = 0; i < kCommands; ++i) {
      bytes.push_back(noise(1 << 20, seed + i));
      inputs.push_back(std::make_unique<Memory>(bytes.back()));
      outputs.push_back(std::make_unique<Memory>());
      CommandOptions options = script("cat");
      options.input = inputs.back()->descriptor();
      options.output = outputs.back()->descriptor();
      running.push_back(machine.spawn(options));
    }
    for (std::size_t i = 0; i < kCommands; ++i) {
      EXPECT_EQ(running[i].wait().exit_code, 0);
      EXPECT_TRUE(outputs[i]->content() == bytes[i]) << seed + i;
    }
  }

  /// What the guest's init holds, in KiB.
  [[nodiscard]] unsigned long data_of_init() const {
    return std::stoul(output_of("sed -n 's/^VmData:[^0-9]*\\([0-9]*\\) kB/\\1/p' /proc/1/status"));
  }

  std::unique_ptr<Machine> machine_;
};

TEST_F(SessionsTest, MachineStartsWarmAndRunsOneCommandAfterTheOther) {
  EXPECT_EQ(machine_->info().start, MachineStart::prepared_state);
  EXPECT_EQ(machine_->info().environment, "tool:1");
  EXPECT_EQ(output_of("echo one > /tmp/file; cat /tmp/file"), "one\n");
  EXPECT_EQ(output_of("cat /tmp/file"), "one\n");
  EXPECT_EQ(machine_->run(script("exit 3")).exit_code, 3);
  EXPECT_EQ(machine_->run(script("kill -9 $$")).signal, SIGKILL);
}

TEST_F(SessionsTest, StreamsOfCommandsAtTheSameTimeStayApart) {
  expect_separate_streams(*machine_, 0);
}

TEST_F(SessionsTest, StreamsOfEightMachinesStayApart) {
  machine_.reset();
  std::vector<std::jthread> users;
  for (std::uint64_t i = 0; i < 8; ++i) {
    users.emplace_back([i] { expect_separate_streams(*start(), 100 * i); });
  }
}

TEST_F(SessionsTest, OutputThatNobodyReadsStopsNoOtherCommand) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor reader(ends[0]);
  FileDescriptor writer(ends[1]);
  CommandOptions flood = script("yes");
  flood.output = writer.get();
  flood.timeout.reset();
  RunningCommand running = machine_->spawn(flood);
  EXPECT_EQ(output_of("seq 100000 | tail -n 1"), "100000\n");
  running.signal(SIGTERM);
  std::string rest(1 << 16, '\0');
  writer = FileDescriptor();
  std::future<CommandReport> end = std::async([&] { return running.wait(); });
  while (end.wait_for(0s) != std::future_status::ready) {
    static_cast<void>(!::read(reader.get(), rest.data(), rest.size()));
  }
  EXPECT_EQ(end.get().signal, SIGTERM);
}

TEST_F(SessionsTest, CommandEndsBeforeProcessesThatItLeft) {
  EXPECT_EQ(output_of("sleep 1000 & echo started"), "started\n");
  EXPECT_EQ(output_of("ps | grep -c '[s]leep 1000'"), "1\n");
  CommandOptions last = script("true");
  last.ends_all_processes = true;
  EXPECT_EQ(machine_->run(last).exit_code, 0);
  EXPECT_EQ(output_of("ps | grep -c '[s]leep 1000'"), "0\n");
}

TEST_F(SessionsTest, TimeoutAndStopEndTheirCommandOnly) {
  std::stop_source stop;
  CommandOptions stopped = script("sleep 1000");
  stopped.stop = stop.get_token();
  CommandOptions late = script("sleep 1000");
  late.timeout = 300ms;
  const Memory input("still here\n"), output;
  RunningCommand first = machine_->spawn(stopped);
  RunningCommand second = machine_->spawn(late);
  EXPECT_TRUE(second.wait().timed_out);
  stop.request_stop();
  const CommandReport end = first.wait();
  EXPECT_TRUE(end.interrupted);
  EXPECT_EQ(end.signal, SIGINT);
  EXPECT_EQ(output_of("echo on"), "on\n");
}

TEST_F(SessionsTest, ForgottenCommandIsKilled) {
  { const RunningCommand forgotten = machine_->spawn(script("trap '' INT TERM; sleep 1000")); }
  EXPECT_EQ(output_of("ps | grep -c '[s]leep 1000'"), "0\n");
}

TEST_F(SessionsTest, CopiesGoOnBesideCommands) {
  RunningCommand busy = machine_->spawn(script("seq 1000000 > /dev/null"));
  const std::string bytes = noise(2 << 20, 9);
  write_file(dir_ / "in", bytes);
  EXPECT_EQ(machine_->copy_in({(dir_ / "in").string(), "/work/in"}), 0u);
  std::thread other([&] { machine_->copy_out({"/work/in", (dir_ / "other").string()}); });
  machine_->copy_out({"/work/in", (dir_ / "out").string()});
  other.join();
  EXPECT_TRUE(read_file(dir_ / "out") == bytes);
  EXPECT_TRUE(read_file(dir_ / "other") == bytes);
  EXPECT_EQ(busy.wait().exit_code, 0);
}

TEST_F(SessionsTest, FailedCopyLeavesMachineUsable) {
  EXPECT_THAT(
      [&] {
        machine_->copy_out({"/nowhere", (dir_ / "x").string()});
      },
      ::testing::ThrowsMessage<Error>(HasSubstr("No such file")));
  EXPECT_THAT(
      [&] {
        machine_->copy_in({(dir_ / "nothing").string(), "/x"});
      },
      ::testing::ThrowsMessage<Error>(HasSubstr("No such file")));
  EXPECT_EQ(machine_->run(script("exit 5")).exit_code, 5);
}

TEST_F(SessionsTest, StopFailsWhatGoesOn) {
  RunningCommand running = machine_->spawn(script("sleep 1000"));
  machine_->stop();
  EXPECT_THAT([&] { running.wait(); },
              ::testing::ThrowsMessage<Error>(HasSubstr("the machine was stopped")));
  EXPECT_THROW(machine_->run(script("true")), Error);
}

/// What a server at a port of this host answers; nothing if it resets the connection.
std::optional<std::string> ask(std::uint16_t port, const std::string& question) {
  const FileDescriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return std::nullopt;
  }
  ::send(client.get(), question.data(), question.size(), MSG_NOSIGNAL);
  ::shutdown(client.get(), SHUT_WR);
  std::string answer;
  std::array<char, 64 << 10> piece;
  ssize_t got = 0;
  while ((got = ::recv(client.get(), piece.data(), piece.size(), 0)) > 0) {
    answer.append(piece.data(), static_cast<std::size_t>(got));
  }
  return got < 0 ? std::nullopt : std::optional(answer);
}

TEST_F(SessionsTest, PublishedPortLeadsToServerInGuest) {
  const std::string bytes = noise(3 << 20, 4);
  write_file(dir_ / "file", bytes);
  machine_->copy_in({(dir_ / "file").string(), "/srv/file"});
  const std::uint16_t port = machine_->publish({.guest_port = 8080});
  EXPECT_EQ(ask(port, ""), std::nullopt) << "no server listens";
  ASSERT_EQ(machine_->run(script("httpd -p 127.0.0.1:8080 -h /srv")).exit_code, 0);
  std::vector<std::future<std::optional<std::string>>> answers;
  for (int i = 0; i < 4; ++i) {
    answers.push_back(
        std::async(std::launch::async, [&] { return ask(port, "GET /file HTTP/1.0\r\n\r\n"); }));
  }
  for (auto& one : answers) {
    const auto answer = one.get();
    ASSERT_TRUE(answer);
    EXPECT_THAT(*answer, HasSubstr(" 200 OK"));
    EXPECT_TRUE(answer->ends_with("\r\n\r\n" + bytes));
  }
  machine_->stop();
  EXPECT_EQ(ask(port, ""), std::nullopt);
}

TEST_F(SessionsTest, PortOfIpv6ServerIsReached) {
  const std::uint16_t port = machine_->publish({.guest_port = 8081});
  ASSERT_EQ(machine_->run(script("httpd -p [::1]:8081 -h /etc")).exit_code, 0);
  const auto answer = ask(port, "GET /hosts HTTP/1.0\r\n\r\n");
  ASSERT_TRUE(answer);
  EXPECT_THAT(*answer, HasSubstr(" 200 OK"));
}

// Each of the calls may be made on a thread that ends before the machine.
TEST_F(SessionsTest, MachineOutlivesThreadThatStartedIt) {
  std::thread([&] { machine_ = start(); }).join();
  EXPECT_EQ(output_of("echo alive"), "alive\n");
}

/// What this process holds, in KiB.
unsigned long own_data() {
  std::ifstream status("/proc/self/status");
  unsigned long kib = 0;
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmData:")) kib = std::stoul(line.substr(7));
  }
  return kib;
}

std::size_t own_descriptors() {
  return static_cast<std::size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

class ManyCommandsTest : public SessionsTest {
 protected:
  void expect_nothing_left_by(int commands) {
    const auto used = [&] { return std::stoul(output_of("ls /proc/1/fd | wc -l")); };
    for (int i = 0; i < 20; ++i) ASSERT_EQ(machine_->run(script("true")).exit_code, 0);
    const unsigned long descriptors = used();
    const unsigned long guest = data_of_init();
    const unsigned long own = own_data();
    const std::size_t open = own_descriptors();
    for (int i = 0; i < commands; ++i) ASSERT_EQ(machine_->run(script("true")).exit_code, 0);
    EXPECT_EQ(used(), descriptors);
    EXPECT_EQ(data_of_init(), guest);
    EXPECT_EQ(own_descriptors(), open);
#ifndef PYRO_SANITIZED  // which keeps what was freed
    EXPECT_LE(own_data(), own + 1024) << "KiB";
#else
    static_cast<void>(own);
#endif
  }
};

TEST_F(ManyCommandsTest, HundredsLeaveNothing) {
  expect_nothing_left_by(300);
}

TEST_F(ManyCommandsTest, TenThousandLeaveNothing) {
  expect_nothing_left_by(10'000);
}

}  // namespace
}  // namespace pyro::testing
