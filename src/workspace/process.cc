// A process of a workspace, as long as it runs.
#include "workspace/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
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

Fd open_null() {
  return open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
}

}  // namespace

WorkspaceCommand::WorkspaceCommand(std::shared_ptr<HeldMachine> machine, CommandOptions command,
                                   ClientStreams streams, ProcessInput input, ProcessRecord record)
    : machine_(std::move(machine)),
      input_kind_(input),
      record_(std::move(record)),
      end_event_(make_event()),
      session_(machine_->open_session(stop_.get_token())) {
  take_streams(std::move(streams), command.terminal);
  start(std::move(command), true);
}

WorkspaceCommand::WorkspaceCommand(std::shared_ptr<HeldMachine> machine,
                                   std::uint16_t saved_session, ProcessInput input,
                                   ProcessRecord record)
    : machine_(std::move(machine)),
      input_kind_(input),
      record_(std::move(record)),
      end_event_(make_event()),
      session_(machine_->open_session(saved_session, stop_.get_token())) {
  take_streams({}, input == ProcessInput::attachments);
  start({}, false);
}

// A descriptor that another client's can be put in place of.
void WorkspaceCommand::take_streams(ClientStreams streams, bool has_terminal) {
  if (input_kind_ == ProcessInput::attachments) {
    Pipe pipe;
    input_ = std::move(pipe.read);
    input_writer_ = std::move(pipe.write);
  } else {
    input_ = std::move(streams.input);
  }
  window_ = std::move(streams.window);
  if (has_terminal && !window_) window_ = open_null();
  if (!streams.output && !streams.error_output) return;
  client_ = std::make_shared<Client>(
      Client{std::move(streams.output), std::move(streams.error_output), make_event()});
}

void WorkspaceCommand::start(CommandOptions command, bool is_new) {
  ::fcntl(signals_.read.get(), F_SETFL, O_NONBLOCK);
  command.input = input_.get();
  command.window = window_.get();
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
  // A machine that is suspended right behind this call is to have it.
  constexpr std::chrono::milliseconds kInterval{1};
  constexpr int kMostLooks = 1000;
  int waiting = 1;
  for (int i = 0; i < kMostLooks && waiting > 0 && !has_ended_; ++i) {
    if (::ioctl(signals_.read.get(), FIONREAD, &waiting) != 0 || waiting == 0) return;
    std::this_thread::sleep_for(kInterval);
  }
}

void WorkspaceCommand::stop(int signal) {
  stop_signal_ = signal;
  stop_.request_stop();
}

// Readers of its output wait for the last one that has it open.
void WorkspaceCommand::close_streams() {
  const std::lock_guard lock(streams_mutex_);
  client_.reset();
  for (Fd* const stream : {&input_, &input_writer_, &window_}) stream->reset();
}

std::shared_ptr<WorkspaceCommand::Client> WorkspaceCommand::client() {
  const std::lock_guard lock(streams_mutex_);
  return client_;
}

void WorkspaceCommand::release_client() {
  const std::lock_guard lock(streams_mutex_);
  if (client_) ::eventfd_write(client_->is_gone.get(), 1);
  client_.reset();
  // In their place, as a thread may be waiting for them.
  const Fd null = open_null();
  if (input_ && input_kind_ == ProcessInput::client) ::dup3(null.get(), input_.get(), O_CLOEXEC);
  if (window_) ::dup3(null.get(), window_.get(), O_CLOEXEC);
}

Fd WorkspaceCommand::attach(ClientStreams streams) {
  const std::lock_guard lock(streams_mutex_);
  if (client_) throw Error(ErrorCode::busy, "another client is attached to the process");
  if (window_ && streams.window) ::dup3(streams.window.get(), window_.get(), O_CLOEXEC);
  client_ = std::make_shared<Client>(
      Client{std::move(streams.output), std::move(streams.error_output), make_event(), true});
  return input_writer_ ? duplicate(input_writer_.get()) : Fd();
}

void WorkspaceCommand::end_input() {
  const std::lock_guard lock(streams_mutex_);
  input_writer_.reset();
}

void WorkspaceCommand::pass_output_on() {
  while (output_.read || error_output_.read) {
    std::array<pollfd, 2> ready{
        {{output_.read.get(), POLLIN, 0}, {error_output_.read.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[0].revents != 0) pass_on(output_.read, record_.output(), &Client::output);
    if (ready[1].revents != 0) {
      pass_on(error_output_.read, record_.error_output(), &Client::error_output);
    }
  }
}

void WorkspaceCommand::pass_on(Fd& from, OutputLog& log, Fd Client::*to) {
  std::array<char, kPiece> piece;
  const ssize_t got = uninterrupted([&] { return ::read(from.get(), piece.data(), piece.size()); });
  if (got <= 0) return from.reset();
  const std::string_view bytes(piece.data(), static_cast<std::size_t>(got));
  try {
    log.append(bytes);
  } catch (
      const Error&) {  // NOLINT(bugprone-empty-catch): the command goes on without room for it.
  }
  const auto client = this->client();
  if (!client || !((*client).*to) || write_to(*client, ((*client).*to).get(), bytes)) return;
  // Its reader has closed it. So does that of the command, unless it has got on without one.
  if (!client->is_attached) return from.reset();
  ::eventfd_write(client->is_gone.get(), 1);
}

bool WorkspaceCommand::write_to(const Client& client, int to, std::string_view bytes) {
  while (!bytes.empty()) {
    std::array<pollfd, 2> ready{{{to, POLLOUT, 0}, {client.is_gone.get(), POLLIN, 0}}};
    if (::poll(ready.data(), ready.size(), -1) < 0) continue;
    if (ready[1].revents != 0) return true;
    // As much as fits at once: who reads may do so slowly.
    const ssize_t put = ::write(to, bytes.data(), std::min<std::size_t>(bytes.size(), PIPE_BUF));
    if (put < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (put < 0) return errno != EPIPE && errno != ECONNRESET;
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

}  // namespace pyro
