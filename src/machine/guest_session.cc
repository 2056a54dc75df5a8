// Frames of one session.
#include "machine/guest_session.h"

#include <sys/eventfd.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <utility>

namespace pyro {
namespace {

void require_version(std::uint32_t version) {
  if (version == guest::kProtocolVersion) return;
  throw Error(ErrorCode::failed, "the guest speaks another version of the protocol");
}

}  // namespace

void require_no_zero_byte(std::string_view text) {
  const std::size_t at = text.find('\0');
  if (at == text.npos) return;
  throw Error(ErrorCode::usage, "there is a zero byte behind '" + std::string(text.substr(0, at)) +
                                    "': no path, word or variable can have one");
}

GuestSession::GuestSession(GuestConnection& connection, const std::stop_token& stop)
    : GuestSession(connection, stop, connection.open_session()) {}

GuestSession::GuestSession(GuestConnection& connection, const std::stop_token& stop, Control)
    : GuestSession(connection, stop, connection.control()) {}

GuestSession::GuestSession(GuestConnection& connection, const std::stop_token& stop,
                           Adopted adopted)
    : GuestSession(connection, stop, connection.adopted_session(adopted.number)) {
  is_requested_ = true;
}

GuestSession::GuestSession(GuestConnection& connection, const std::stop_token& stop,
                           std::shared_ptr<SessionQueues> queues)
    : connection_(connection),
      queues_(std::move(queues)),
      stop_(stop),
      on_stop_(stop, [fd = queues_->wake_up.get()] { ::eventfd_write(fd, 1); }) {}

GuestSession::~GuestSession() {
  connection_.close_session(*queues_, is_requested_);
}

void GuestSession::send(guest::FrameType type, std::string_view payload) {
  if (has_ended_) return;
  const guest::FrameHeader header{static_cast<std::uint32_t>(payload.size()), type, 0,
                                  queues_->number};
  std::array<char, guest::kHeaderSize> bytes;
  std::memcpy(bytes.data(), &header, guest::kHeaderSize);
  out_.append(bytes.data(), guest::kHeaderSize);
  out_ += payload;
  is_requested_ = true;
}

std::size_t GuestSession::unsent() const {
  return out_.size() + connection_.unsent(*queues_);
}

void GuestSession::flush() {
  if (!out_.empty()) connection_.send(queues_, std::exchange(out_, {}));
}

void GuestSession::send_all(const Timeout& timeout) {
  constexpr std::size_t kLittle = 256 << 10;
  flush();
  std::size_t left = unsent();
  for (auto deadline = timeout.from_now(); left > kLittle && !has_frame();) {
    if (stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    if (!wait_flushed({}, deadline)) throw connection_.describe_silence();
    if (unsent() < left) deadline = timeout.from_now();
    left = unsent();
  }
  if (stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
}

bool GuestSession::has_frame() {
  if (taken_ < in_.size()) return true;
  in_.clear();
  taken_ = 0;
  return connection_.receive(*queues_, in_);
}

void GuestSession::grant(std::size_t bytes) {
  constexpr std::size_t kWorthAFrame = guest::kOutputWindow / 4;
  to_grant_ += bytes;
  if (to_grant_ < kWorthAFrame) return;
  send_fixed(guest::FrameType::granted,
             guest::NumberPayload{static_cast<std::uint32_t>(std::exchange(to_grant_, 0))});
  flush();
}

std::optional<GuestFrame> GuestSession::try_next() {
  if (!has_frame()) return std::nullopt;
  guest::FrameHeader header;
  std::memcpy(&header, in_.data() + taken_, guest::kHeaderSize);
  const std::string_view payload(in_.data() + taken_ + guest::kHeaderSize, header.size);
  taken_ += guest::kHeaderSize + header.size;
  if (guest::takes_window(header.type)) grant(guest::kHeaderSize + header.size);
  if (guest::ends_session(header.type)) note_end();
  return GuestFrame{header.type, payload};
}

void GuestSession::note_end() {
  is_requested_ = false;
  has_ended_ = queues_->number != guest::kControlSession;
}

bool GuestSession::wait(std::span<pollfd> others, Deadline deadline) {
  flush();
  return wait_flushed(others, deadline);
}

bool GuestSession::wait_flushed(std::span<pollfd> others, Deadline deadline) {
  std::array<pollfd, 1 + kMaxOthers> waiting{{{queues_->wake_up.get(), POLLIN, 0}}};
  std::ranges::copy(others, waiting.begin() + 1);
  const int ready = ::poll(waiting.data(), 1 + others.size(), poll_timeout(deadline));
  if (ready < 0 && errno != EINTR) throw system_error("cannot wait for the guest", errno);
  if (ready > 0) {
    std::copy_n(waiting.begin() + 1, others.size(), others.begin());
    eventfd_t events = 0;
    if (waiting[0].revents != 0) ::eventfd_read(queues_->wake_up.get(), &events);
  }
  return !deadline || Clock::now() < *deadline;
}

GuestFrame GuestSession::next(Deadline deadline) {
  while (true) {
    // First: a flood must not delay them.
    if (stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    if (deadline && Clock::now() >= *deadline) throw connection_.describe_silence();
    if (const auto frame = try_next()) return *frame;
    static_cast<void>(wait({}, deadline));
  }
}

bool wait_for_kernel(GuestSession& link, Deadline deadline) {
  GuestFrame frame = link.next(deadline);
  if (frame.type != guest::FrameType::waiting) refuse_frame();
  const auto waiting = fixed_part<guest::WaitingPayload>(frame.payload);
  require_version(waiting.version);
  return waiting.disk_is_free != 0;
}

void handshake(GuestSession& link, std::string_view host_name, Deadline deadline) {
  guest::StartPayload start;
  start.nanoseconds_since_1970 = std::chrono::duration_cast<std::chrono::nanoseconds>(
                                     std::chrono::system_clock::now().time_since_epoch())
                                     .count();
  if (::getrandom(start.seed, sizeof start.seed, 0) != sizeof start.seed) {
    throw system_error("cannot get random bytes", errno);
  }
  link.send_fixed(guest::FrameType::start, start, host_name);
  while (true) {
    GuestFrame frame = link.next(deadline);
    // A resumed machine may have had frames left to send.
    if (frame.type != guest::FrameType::ready) continue;
    return require_version(fixed_part<guest::NumberPayload>(frame.payload).number);
  }
}

}  // namespace pyro
