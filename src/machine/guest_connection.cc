// The frames of all sessions over one port.
#include "machine/guest_connection.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

#include "machine/deadline.h"

namespace pyro {
namespace {

constexpr std::size_t kPiece = 256 << 10;
constexpr std::size_t kBuffer = kPiece + guest::kHeaderSize + guest::kMaxPayload;

/// Beside its window a guest sends `taken`, of which there are at most as many as bytes of input.
constexpr std::size_t kMaxUnread =
    guest::kOutputWindow +
    guest::kInputWindow * (guest::kHeaderSize + sizeof(guest::NumberPayload));

Error violation(std::string_view what) {
  std::string message = "the guest does not keep to the protocol";
  if (!what.empty()) message.append(": ").append(what);
  return {ErrorCode::failed, std::move(message)};
}

}  // namespace

void refuse_frame(std::string_view what) {
  throw violation(what);
}

std::string shortened(std::string_view text) {
  constexpr std::size_t kMaxShown = 200;
  if (text.size() <= kMaxShown) return std::string(text);
  return std::string(text.substr(0, kMaxShown / 2)) + "[...]" +
         std::string(text.substr(text.size() - kMaxShown / 2));
}

SessionQueues::SessionQueues() : wake_up(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_up) throw system_error("cannot make an eventfd", errno);
}

GuestConnection::GuestConnection(VirtualMachine& machine)
    : machine_(&machine),
      wake_up_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      control_(std::make_shared<SessionQueues>()),
      sessions_{{guest::kControlSession, control_}},
      in_(std::make_unique_for_overwrite<char[]>(kBuffer)),
      thread_([this] { serve(); }) {}

GuestConnection::GuestConnection(const StartMachine& start)
    : wake_up_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      control_(std::make_shared<SessionQueues>()),
      sessions_{{guest::kControlSession, control_}},
      in_(std::make_unique_for_overwrite<char[]>(kBuffer)) {
  std::exception_ptr failure;
  std::condition_variable started;
  bool is_decided = false;
  std::unique_lock lock(mutex_);
  thread_ = std::thread([&, this] {
    try {
      owned_machine_ = start();
      machine_ = owned_machine_.get();
    } catch (...) {
      failure = std::current_exception();
    }
    const bool has_started = machine_ != nullptr;
    {
      const std::lock_guard decided(mutex_);
      is_decided = true;
      started.notify_one();
    }
    if (has_started) serve();
  });
  started.wait(lock, [&] { return is_decided; });
  lock.unlock();
  if (!failure) return;
  thread_.join();
  std::rethrow_exception(failure);
}

GuestConnection::~GuestConnection() {
  kill();
}

void GuestConnection::kill(const char* why) noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(is_ending_, true)) why_ = why;
  }
  ::eventfd_write(wake_up_.get(), 1);
  std::call_once(joined_, [this] {
    if (thread_.joinable()) thread_.join();
  });
}

bool GuestConnection::has_ended() {
  const std::lock_guard lock(mutex_);
  return machine_ended_ || violation_;
}

std::shared_ptr<SessionQueues> GuestConnection::open_session() {
  auto session = std::make_shared<SessionQueues>();
  const std::lock_guard lock(mutex_);
  const auto is_used = [this](std::uint16_t number) {
    return sessions_.contains(number) || abandoned_.contains(number);
  };
  if (sessions_.size() + abandoned_.size() > std::numeric_limits<std::uint16_t>::max()) {
    throw Error(ErrorCode::failed, "the machine has too many sessions");
  }
  do ++last_number_;
  while (is_used(last_number_));
  session->number = last_number_;
  sessions_.emplace(session->number, session);
  return session;
}

void GuestConnection::adopt_session(std::uint16_t number) {
  auto session = std::make_shared<SessionQueues>();
  session->number = number;
  const std::lock_guard lock(mutex_);
  if (!sessions_.emplace(number, session).second) return;
  last_number_ = std::max(last_number_, number);
  send_frame(session, guest::FrameType::keep);
}

std::shared_ptr<SessionQueues> GuestConnection::adopted_session(std::uint16_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(number);
  if (found != sessions_.end() && number != guest::kControlSession) return found->second;
  throw Error(ErrorCode::failed, "the machine has no such session");
}

// With the lock. It takes the place of all that is not sent yet.
void GuestConnection::send_frame(const std::shared_ptr<SessionQueues>& session,
                                 guest::FrameType type) {
  const guest::FrameHeader header{0, type, 0, session->number};
  if (session->out.empty()) turns_.push_back(session);
  session->out.assign(reinterpret_cast<const char*>(&header), guest::kHeaderSize);
  flush();
}

void GuestConnection::close_session(const SessionQueues& session, bool abandons) {
  const std::lock_guard lock(mutex_);
  const auto found = sessions_.find(session.number);
  if (found == sessions_.end() || session.number == guest::kControlSession) return;
  const std::shared_ptr<SessionQueues> queues = std::move(found->second);
  sessions_.erase(found);
  if (!abandons || machine_ended_) return;
  abandoned_.insert(session.number);
  send_frame(queues, guest::FrameType::abandon);
}

void GuestConnection::send(const std::shared_ptr<SessionQueues>& session, std::string bytes) {
  const std::lock_guard lock(mutex_);
  if (!bytes.empty()) {
    if (session->out.empty()) {
      turns_.push_back(session);
      session->out = std::move(bytes);
    } else {
      session->out += bytes;
    }
  }
  flush();
}

void GuestConnection::hold() {
  const std::lock_guard lock(mutex_);
  is_held_ = true;
}

void GuestConnection::proceed() {
  const std::lock_guard lock(mutex_);
  is_held_ = false;
  flush();
}

bool GuestConnection::has_more_to_send() const noexcept {
  return !wire_.empty() || (is_held_ ? !control_->out.empty() : !turns_.empty());
}

std::size_t GuestConnection::unsent(const SessionQueues& session) {
  const std::lock_guard lock(mutex_);
  const bool is_on_wire = wire_owner_.get() == &session;
  return session.out.size() + (is_on_wire ? wire_.size() - wire_sent_ : 0);
}

// With the lock. Each session has its turn with all that it wants to send, which is whole frames.
void GuestConnection::flush() {
  while (has_more_to_send()) {
    if (wire_.empty()) {
      const auto next = is_held_ ? std::ranges::find(turns_, control_) : turns_.begin();
      wire_owner_ = std::move(*next);
      turns_.erase(next);
      wire_.swap(wire_owner_->out);
      wire_sent_ = 0;
    }
    const ssize_t put = ::send(machine_->channel(), wire_.data() + wire_sent_,
                               wire_.size() - wire_sent_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno == EINTR) continue;
    // The end of the guest is noticed when reading, after its last frames.
    if (put < 0) break;
    wire_sent_ += static_cast<std::size_t>(put);
    if (wire_sent_ < wire_.size()) continue;
    wire_.clear();
    wire_owner_.reset();
  }
  if (has_more_to_send() && !std::exchange(waits_to_send_, true)) {
    ::eventfd_write(wake_up_.get(), 1);
  }
}

bool GuestConnection::receive(SessionQueues& session, std::string& frames) {
  const std::lock_guard lock(mutex_);
  frames.swap(session.in);
  if (frames.empty()) throw_failure();
  return !frames.empty();
}

// A copy, as each caller adds its context.
void GuestConnection::throw_failure() const {
  if (violation_) throw Error(*violation_);
  if (loss_) throw MachineLost(*loss_);
}

MachineLost GuestConnection::describe_silence() {
  const std::lock_guard lock(mutex_);
  if (loss_) return *loss_;
  machine_->drain_output();
  return describe_loss(kNoSign, {Loss::silence, {}});
}

void GuestConnection::serve() {
  while (true) {
    wait();
    const std::lock_guard lock(mutex_);
    if (is_ending_) break;
  }
  machine_->kill();
  const std::lock_guard lock(mutex_);
  machine_ended_ = true;
  if (!loss_) loss_ = MachineLost(Loss::end, why_);
  wake_all();
}

void GuestConnection::wait() {
  enum { kPort, kWakeUp, kConsole, kStderr, kCount };
  std::array<pollfd, kCount> waiting{};
  {
    const std::lock_guard lock(mutex_);
    const int wanted = POLLIN | (waits_to_send_ ? POLLOUT : 0);
    waiting = {{{port_ended_ ? -1 : machine_->channel(), static_cast<short>(wanted), 0},
                {wake_up_.get(), POLLIN, 0},
                {machine_->console(), POLLIN, 0},
                {machine_->stderr_fd(), POLLIN, 0}}};
  }
  if (::poll(waiting.data(), waiting.size(), -1) <= 0) return;
  eventfd_t requests = 0;
  if (waiting[kWakeUp].revents != 0) ::eventfd_read(wake_up_.get(), &requests);
  if (waiting[kConsole].revents != 0 || waiting[kStderr].revents != 0) {
    const std::lock_guard lock(mutex_);
    machine_->drain_output();
  }
  if ((waiting[kPort].revents & POLLOUT) != 0) {
    const std::lock_guard lock(mutex_);
    waits_to_send_ = false;
    const std::shared_ptr<SessionQueues> owner = wire_owner_;
    flush();
    if (owner) ::eventfd_write(owner->wake_up.get(), 1);
  }
  if ((waiting[kPort].revents & ~POLLOUT) != 0) read_port();
}

void GuestConnection::read_port() {
  const ssize_t got = ::recv(machine_->channel(), in_.get() + received_, kPiece, MSG_DONTWAIT);
  if (got > 0) {
    received_ += static_cast<std::size_t>(got);
    return deliver();
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  port_ended_ = true;
  note_end();
}

// What is left is at most the beginning of a frame.
void GuestConnection::deliver() {
  const std::lock_guard lock(mutex_);
  std::size_t at = 0;
  while (received_ - at >= guest::kHeaderSize) {
    guest::FrameHeader header;
    std::memcpy(&header, in_.get() + at, guest::kHeaderSize);
    if (header.size > guest::kMaxPayload) return fail(violation({}));
    const std::size_t size = guest::kHeaderSize + header.size;
    if (received_ - at < size) break;
    deliver(header.session, header.type, {in_.get() + at, size});
    at += size;
  }
  received_ -= at;
  std::memmove(in_.get(), in_.get() + at, received_);
}

void GuestConnection::deliver(std::uint16_t number, guest::FrameType type, std::string_view frame) {
  if (type == guest::FrameType::fatal_error) {
    return fail(
        {ErrorCode::failed, "the guest gives up: " + shortened(frame.substr(guest::kHeaderSize))});
  }
  const auto found = sessions_.find(number);
  if (found == sessions_.end()) {
    if (guest::ends_session(type)) abandoned_.erase(number);
    return;
  }
  SessionQueues& session = *found->second;
  if (session.in.size() + frame.size() > kMaxUnread) {
    return fail(violation("it sends more than it may"));
  }
  if (session.in.empty()) ::eventfd_write(session.wake_up.get(), 1);
  session.in += frame;
}

// Nothing is read from then on.
void GuestConnection::fail(const Error& error) {
  port_ended_ = true;
  if (!violation_) violation_ = error;
  wake_all();
}

void GuestConnection::wake_all() {
  for (const auto& [number, session] : sessions_) ::eventfd_write(session->wake_up.get(), 1);
}

void GuestConnection::note_end() {
  // The process may exit shortly after its channel ends.
  constexpr std::chrono::milliseconds kExitTimeout{100};
  static_cast<void>(wait_to_read(machine_->process(), Clock::now() + kExitTimeout));
  const std::lock_guard lock(mutex_);
  machine_->drain_output();
  loss_ = describe_loss("the machine ended", machine_->how_it_ended());
  machine_ended_ = true;
  wake_all();
}

MachineLost GuestConnection::describe_loss(const std::string& what, const MachineEnd& end) {
  constexpr std::size_t kMaxFailureLine = 400;
  const std::string words = machine_->failure_line().substr(0, kMaxFailureLine);
  std::vector<std::string> causes{what};
  // The output of a failed monitor says more than its exit code.
  if (!end.how.empty() && (words.empty() || !end.hint.empty())) causes.push_back(end.how);
  if (!words.empty()) causes.push_back(words);
  MachineLost error(end.loss, causes.back());
  for (auto cause = std::next(causes.rbegin()); cause != causes.rend(); ++cause) {
    error.add_context(*cause);
  }
  if (!end.hint.empty()) error.add_hint(end.hint);
  return error;
}

}  // namespace pyro
