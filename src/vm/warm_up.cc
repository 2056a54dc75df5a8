// Warm-up.
#include "vm/warm_up.h"

#include <fcntl.h>

#include <chrono>
#include <string>

#include "base/files.h"
#include "pyro/machine.h"
#include "vm/guest_requests.h"

namespace pyro {
namespace {

constexpr std::chrono::seconds kSmokeTestTimeout{30};
constexpr std::chrono::milliseconds kIdleTime{200};

/// Runs a program that every environment has, and that changes nothing.
/// @throws Error(failed) when it does not work; as run_command()
void smoke_test(GuestLink& link) {
  const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
  RunOptions options;
  options.command = {"true"};
  options.output = options.error_output = null.get();
  options.timeout = kSmokeTestTimeout;
  options.stop_timeout = {};
  const CommandEnd end = run_command(link, options, {});
  if (end.interrupted) throw Error(ErrorCode::interrupted, "interrupted");
  if (end.code == 0 && end.signal == 0 && end.refused == 0 && !end.timed_out) return;
  throw Error(ErrorCode::failed, "'true' does not work in the guest" +
                                     (end.refusal.empty() ? "" : ": " + end.refusal));
}

/// Has the guest read the programs that its runs most likely begin with: those of the config, the
/// shell, and what environments are tried with.
void send_programs(GuestLink& link, const ContainerConfig& config) {
  const auto send = [&link](guest::FrameType type, const std::string& word) {
    if (word.size() < guest::kMaxPayload) link.send(type, word);
  };
  for (const auto* const words : {&config.entrypoint, &config.command}) {
    if (!words->empty()) send(guest::FrameType::argument, words->front());
  }
  for (const char* const program : {"sh", "true"}) send(guest::FrameType::argument, program);
  for (const std::string& variable : config.env) send(guest::FrameType::variable, variable);
  if (!config.user.empty()) send(guest::FrameType::user, config.user);
}

/// Whether the guest answers: an image need not have any program.
/// @throws Error(failed)
void probe_guest(GuestLink& link) {
  link.send(guest::FrameType::probe, {});
  const GuestFrame frame = link.next(Clock::now() + kSmokeTestTimeout);
  if (frame.type != guest::FrameType::done) refuse_frame();
}

void wait_until_idle(GuestLink& link) {
  const auto end = Clock::now() + kIdleTime;
  while (!link.stop_requested() && link.wait({}, end)) {
    while (link.try_next()) {
    }
  }
}

}  // namespace

void check_guest(GuestLink& link, bool is_container) {
  return is_container ? probe_guest(link) : smoke_test(link);
}

void warm_up(GuestLink& link, const InstallRecord& record) {
  const bool is_container = record.kind == EnvironmentKind::container;
  if (is_container) send_programs(link, record.config.value_or(ContainerConfig()));
  check_guest(link, is_container);
  wait_until_idle(link);
}

}  // namespace pyro
