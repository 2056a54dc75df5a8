// Warm-up.
#include "machine/warm_up.h"

#include <fcntl.h>

#include <chrono>
#include <string>

#include "base/files.h"
#include "machine/guest_requests.h"
#include "pyro/machine.h"

namespace pyro {
namespace {

constexpr std::chrono::seconds kSmokeTestTimeout{30};
constexpr std::chrono::milliseconds kIdleTime{200};

/// Runs a program that every environment has, and that changes nothing.
/// @throws Error(failed) when it does not work; as run_command()
void smoke_test(GuestSession& session) {
  const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
  CommandOptions options;
  options.command = {"true"};
  options.output = options.error_output = null.get();
  options.timeout = kSmokeTestTimeout;
  options.stop_timeout = {};
  const CommandEnd end = run_command(session, options, {});
  if (end.interrupted) throw Error(ErrorCode::interrupted, "interrupted");
  if (end.code == 0 && end.signal == 0 && end.refused == 0 && !end.timed_out) return;
  throw Error(ErrorCode::failed, "'true' does not work in the guest" +
                                     (end.refusal.empty() ? "" : ": " + end.refusal));
}

/// Has the guest read the programs that its runs most likely begin with: those of the config, the
/// shell, and what environments are tried with.
void send_programs(GuestSession& session, const ContainerConfig& config) {
  const auto send = [&session](guest::FrameType type, const std::string& word) {
    if (word.size() < guest::kMaxPayload) session.send(type, word);
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
void probe_guest(GuestSession& session) {
  session.send(guest::FrameType::probe, {});
  const GuestFrame frame = session.next(Clock::now() + kSmokeTestTimeout);
  if (frame.type != guest::FrameType::done) refuse_frame();
}

void wait_until_idle(GuestConnection& guest, const std::stop_token& stop) {
  GuestSession silent(guest, stop);
  const auto end = Clock::now() + kIdleTime;
  while (!silent.stop_requested() && silent.wait({}, end)) {
  }
}

}  // namespace

void check_guest(GuestConnection& guest, bool is_container, const std::stop_token& stop) {
  GuestSession session(guest, stop);
  is_container ? probe_guest(session) : smoke_test(session);
}

void warm_up(GuestConnection& guest, const InstallRecord& record, const std::stop_token& stop) {
  if (record.kind == EnvironmentKind::container) {
    GuestSession session(guest, stop);
    send_programs(session, record.config.value_or(ContainerConfig()));
    probe_guest(session);
  } else {
    check_guest(guest, false, stop);
  }
  wait_until_idle(guest, stop);
}

}  // namespace pyro
