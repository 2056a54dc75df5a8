// The monitor process.
#include "machine/qemu/monitor_process.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include "base/files.h"
#include "machine/deadline.h"

namespace pyro {
namespace {

/// Large pages, allocated in few steps: saves 7 % of the processor time of a short run under
/// emulation (GNU C library manual, Memory Allocation Tunables).
constexpr const char* kMemoryInLargePages =
    "GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.top_pad=67108864";

}  // namespace

void OutputTail::drain() {
  constexpr std::size_t kKept = 4096;
  constexpr int kReads = 16;  // a process that writes all the time must not block the caller
  std::array<char, kKept> piece;
  for (int i = 0; source_ && i < kReads; ++i) {
    const ssize_t got = ::read(source_.get(), piece.data(), piece.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return source_.reset();
    text_.append(piece.data(), static_cast<std::size_t>(got));
    if (text_.size() > kKept) text_.erase(0, text_.size() - kKept);
  }
}

SocketPair make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw system_error("cannot make a pipe", errno);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find_first_of("\r\n"));
}

std::string failure_line_in(const std::string& text) {
  for (const std::string_view beginning : {"Kernel panic", "pyro: "}) {
    const std::size_t at = text.find(beginning);
    if (at != text.npos) return first_line(text.substr(at));
  }
  const std::size_t end = text.find_last_not_of("\r\n ");
  if (end == text.npos) return {};
  const std::size_t before = text.find_last_of("\r\n", end);
  return text.substr(before == text.npos ? 0 : before + 1, end - before);
}

ProcessStart monitor_start(const MonitorStart& start) {
  const auto policy = std::make_shared<PreparedPolicy>(monitor_policy(start));
  std::vector<std::string> arguments{start.program.string()};
  arguments.insert(arguments.end(), start.arguments.begin(), start.arguments.end());
  std::vector<int> descriptors{-1, start.output, start.output};
  static_assert(kFirstMonitorDescriptor == 3);
  descriptors.insert(descriptors.end(), start.descriptors.begin(), start.descriptors.end());
  return {.program = start.program,
          .arguments = std::move(arguments),
          // The user's variables may hold secrets, and a monitor needs none.
          .variables = {"PATH=/usr/bin:/bin", kMemoryInLargePages},
          .descriptors = std::move(descriptors),
          .group = ProcessStart::Group::in_new_session,
          .confine = [policy] { return policy->apply(); }};
}

// Many times what an answer takes.
constexpr std::uint64_t kAnswerSeconds = 2;

MonitorAnswer ask_monitor(const std::filesystem::path& program, std::vector<std::string> arguments,
                          std::vector<int> descriptors, std::chrono::milliseconds timeout) {
  SocketPair output = make_pipe();
  OutputTail said(std::move(output.ours));
  Subprocess process(monitor_start({.program = program,
                                    .arguments = std::move(arguments),
                                    .descriptors = std::move(descriptors),
                                    .output = output.theirs.get(),
                                    .limits = {.address_space = kMonitorOverhead,
                                               .processor_seconds = kAnswerSeconds}}),
                     kMonitorSubject);
  MonitorAnswer answer;
  if (wait_to_read(process.descriptor(), Clock::now() + timeout)) answer.end = process.wait();
  said.drain();
  answer.first_line = first_line(said.text());
  return answer;
}

}  // namespace pyro
