// A process of a workspace, as long as it runs.
#include "workspace/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <string>
#include <string_view>
#include <utility>

namespace pyro {
namespace {

constexpr std::size_t kPiece = 64 << 10;

Fd make_event() {
  Fd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) throw system_error("cannot make an event", errno);
  return event;
}

}  // namespace

WorkspaceCommand::WorkspaceCommand(std::shared_ptr<HeldMachine> machine, CommandOptions command,
                                   ClientStreams streams, ProcessRecord record)
    : machine_(std::move(machine)),
      streams_(std::move(streams)),
      record_(std::move(record)),
      end_event_(make_event()),
      client_is_gone_(make_event()),
      session_(machine_->open_session(stop_.get_token())) {
  start(std::move(command), true);
}

WorkspaceCommand::WorkspaceCommand(std::shared_ptr<HeldMachine> machine,
                                   std::uint16_t saved_session, ProcessRecord record)
    : machine_(std::move(machine)),
      record_(std::move(record)),
      end_event_(make_event()),
      client_is_gone_(make_event()),
      session_(machine_->open_session(saved_session, stop_.get_token())) {
  start({}, false);
}

void WorkspaceCommand::start(CommandOptions command, bool is_new) {
  ::fcntl(signals_.read.get(), F_SETFL, O_NONBLOCK);
  command.input = streams_.input.get();
  command.window = streams_.window.get();
  command.output = output_.write.get();
  command.error_output = error_output_.write.get();
  command.signals = signals_.read.get();
  command.stop = stop_.get_token();
  command.stop_signal = [this] { return stop_signal_.load(); };
  output_thread_ = std::thread([this] { pass_output_on(); });
  thread_ = std::thread([this, is_new, command = std::move(command)] { run(command, is_new); });
}

WorkspaceCommand::~WorkspaceCommand() {
  thread_.join();
}

void WorkspaceCommand::run(const CommandOptions& command, bool is_new) {
  try {
    report_ = is_new ? machine_->run(*session_, command) : HeldMachine::follow(*session_, command);
  } catch (...) {
    failure_ = std::current_exception();
    report_ = {.exit_code = kMachineEnded};
  }
  output_.write.reset();
  error_output_.write.reset();
  output_thread_.join();
  close_streams();
  try {
    if (!failure_ || !is_saved_) record_.note_end(report_);
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): without room it counts as running.
  }
  has_ended_ = true;
  ::eventfd_write(end_event_.get(), 1);
}

bool WorkspaceCommand::goes_on() const noexcept {
  return is_saved_ && failure_;
}

CommandReport WorkspaceCommand::report() const {
  if (failure_) std::rethrow_exception(failure_);
  return report_;
}

void WorkspaceCommand::signal(int number) {
  const auto byte = static_cast<unsigned char>(number);
  static_cast<void>(!::write(signals_.write.get(), &byte, 1));
}

void WorkspaceCommand::stop(int signal) {
  stop_signal_ = signal;
  stop_.request_stop();
}

// Readers of its output wait for the last one that has it open.
void WorkspaceCommand::close_streams() {
  const std::lock_guard lock(streams_mutex_);
  streams_ = {};
}

void WorkspaceCommand::release_client() {
  ::eventfd_write(client_is_gone_.get(), 1);
  const std::lock_guard lock(streams_mutex_);
  // In their place, as a thread may be waiting for them.
  for (const Fd* const stream : {&streams_.input, &streams_.window}) {
    if (!*stream) continue;
    const Fd null = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
    ::dup3(null.get(), stream->get(), O_CLOEXEC);
  }
}

void WorkspaceCommand::pass_output_on() {
  while (output_.read || error_output_.read) {
    std::array<pollfd, 2> ready{
        {{output_.read.get(), POLLIN, 0}, {error_output_.read.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[0].revents != 0) pass_on(output_.read, record_.output(), streams_.output);
    if (ready[1].revents != 0) {
      pass_on(error_output_.read, record_.error_output(), streams_.error_output);
    }
  }
}

void WorkspaceCommand::pass_on(Fd& from, OutputLog& log, const Fd& to) {
  std::array<char, kPiece> piece;
  const ssize_t got = uninterrupted([&] { return ::read(from.get(), piece.data(), piece.size()); });
  if (got <= 0) return from.reset();
  const std::string_view bytes(piece.data(), static_cast<std::size_t>(got));
  try {
    log.append(bytes);
  } catch (
      const Error&) {  // NOLINT(bugprone-empty-catch): the command goes on without room for it.
  }
  // Its reader has closed it: so does the command's.
  if (to && !write_to_client(to, bytes)) from.reset();
}

bool WorkspaceCommand::write_to_client(const Fd& to, std::string_view bytes) const {
  while (!bytes.empty()) {
    std::array<pollfd, 2> ready{{{to.get(), POLLOUT, 0}, {client_is_gone_.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[1].revents != 0) return true;
    // As much as fits at once: who reads may do so slowly.
    const ssize_t put =
        ::write(to.get(), bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (put < 0) return errno != EPIPE && errno != ECONNRESET;
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

}  // namespace pyro
