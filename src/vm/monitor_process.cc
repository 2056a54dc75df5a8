// How a monitor is started.
#include "vm/monitor_process.h"

#include <memory>
#include <utility>

#include "base/files.h"
#include "vm/deadline.h"
#include "vm/words.h"

namespace pyro {
namespace {

/// What a monitor that emulates works with, in large pages and taken in few steps: 7 % of the
/// processor time of a short run (the GNU C library's manual, Memory Allocation Tunables).
constexpr const char* kMemoryInLargePages =
    "GLIBC_TUNABLES=glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:glibc.malloc.top_pad=67108864";

}  // namespace

ProcessStart monitor_start(const MonitorStart& start) {
  const auto policy = std::make_shared<PreparedPolicy>(monitor_policy(start));
  std::vector<std::string> arguments{start.program.string()};
  arguments.insert(arguments.end(), start.arguments.begin(), start.arguments.end());
  std::vector<int> descriptors{-1, start.complaints, start.complaints};
  static_assert(kFirstMonitorDescriptor == 3);
  descriptors.insert(descriptors.end(), start.descriptors.begin(), start.descriptors.end());
  return {.program = start.program,
          .arguments = std::move(arguments),
          // Of the user's variables some may hold secrets, and a monitor needs none.
          .variables = {"PATH=/usr/bin:/bin", kMemoryInLargePages},
          .descriptors = std::move(descriptors),
          .group = ProcessStart::Group::in_new_session,
          .confine = [policy] { return policy->apply(); }};
}

MonitorAnswer ask_monitor(const std::filesystem::path& program, std::vector<std::string> arguments,
                          std::vector<int> descriptors, std::chrono::milliseconds patience) {
  SocketPair output = make_pipe();
  Words said(std::move(output.ours));
  Subprocess process(monitor_start({.program = program,
                                    .arguments = std::move(arguments),
                                    .descriptors = std::move(descriptors),
                                    .complaints = output.theirs.get(),
                                    .limits = {.address_space = kMonitorOverhead}}),
                     kMonitorSubject);
  MonitorAnswer answer;
  if (wait_to_read(process.descriptor(), Clock::now() + patience)) answer.end = process.wait();
  said.take_in();
  answer.first_line = first_line(said.last());
  return answer;
}

}  // namespace pyro
