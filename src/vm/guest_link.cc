// Frames to and from a guest.
#include "vm/guest_link.h"

#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <utility>

namespace pyro {
namespace {

constexpr std::size_t kHeader = sizeof(guest::FrameHeader);
constexpr std::size_t kBacklog = 512 << 10;
constexpr std::size_t kPiece = 256 << 10;
static_assert(kBacklog > kHeader + guest::kMaxPayload);

void require_version(std::uint32_t version) {
  if (version == guest::kProtocolVersion) return;
  throw Error(ErrorCode::failed, "the guest speaks another version of the protocol");
}

}  // namespace

void refuse_frame(std::string_view what) {
  std::string message = "the guest does not keep to the protocol";
  if (!what.empty()) message.append(": ").append(what);
  throw Error(ErrorCode::failed, std::move(message));
}

void require_no_zero_byte(std::string_view text) {
  const std::size_t at = text.find('\0');
  if (at == text.npos) return;
  throw Error(ErrorCode::usage, "there is a zero byte behind '" + std::string(text.substr(0, at)) +
                                    "': no path, word or variable can have one");
}

std::string shortened(std::string_view text) {
  constexpr std::size_t kMaxShown = 200;
  if (text.size() <= kMaxShown) return std::string(text);
  return std::string(text.substr(0, kMaxShown / 2)) + "[...]" +
         std::string(text.substr(text.size() - kMaxShown / 2));
}

GuestLink::GuestLink(Machine& machine, const std::stop_token& stop)
    : machine_(machine),
      stop_(stop),
      wake_up_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      on_stop_(stop, [fd = wake_up_.get()] { ::eventfd_write(fd, 1); }),
      in_(std::make_unique_for_overwrite<char[]>(kBacklog + kPiece)) {
  if (!wake_up_) throw system_error("cannot make an eventfd", errno);
}

void GuestLink::send(guest::FrameType type, std::string_view payload) {
  const guest::FrameHeader header{static_cast<std::uint32_t>(payload.size()), type, {}};
  std::array<char, kHeader> bytes;
  std::memcpy(bytes.data(), &header, kHeader);
  out_.append(bytes.data(), kHeader);
  out_ += payload;
}

void GuestLink::flush() {
  while (unsent() > 0) {
    const ssize_t put =
        ::send(machine_.channel(), out_.data() + sent_, unsent(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (put < 0 && errno == EINTR) continue;
    // The end of the guest is noticed when reading, after its last frames.
    if (put < 0) break;
    sent_ += static_cast<std::size_t>(put);
  }
  // Rarely: this moves the rest.
  if (sent_ >= unsent()) {
    out_.erase(0, sent_);
    sent_ = 0;
  }
}

void GuestLink::send_all(const Timeout& timeout) {
  constexpr std::size_t kLittle = 256 << 10;
  if (stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
  flush();
  std::size_t left = unsent();
  for (auto deadline = timeout.from_now(); left > kLittle;) {
    if (!wait_flushed({}, deadline)) lost(kNoSign);
    if (stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    flush();
    if (ended_) lost("the machine ended");
    if (unsent() < left) deadline = timeout.from_now();
    left = unsent();
  }
}

void GuestLink::receive() {
  // Usually at most the beginning of a frame.
  if (taken_ > 0) std::memmove(in_.get(), in_.get() + taken_, untaken());
  received_ -= std::exchange(taken_, 0);
  const ssize_t got = ::recv(machine_.channel(), in_.get() + received_, kPiece, MSG_DONTWAIT);
  if (got > 0) received_ += static_cast<std::size_t>(got);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) ended_ = true;
}

std::optional<GuestFrame> GuestLink::try_next() {
  const std::size_t left = untaken();
  guest::FrameHeader header;
  if (left >= kHeader) std::memcpy(&header, in_.get() + taken_, kHeader);
  if (left >= kHeader && header.size > guest::kMaxPayload) refuse_frame();
  if (left < kHeader || left - kHeader < header.size) {
    if (ended_) lost("the machine ended");
    return std::nullopt;
  }
  const std::string_view payload(in_.get() + taken_ + kHeader, header.size);
  taken_ += kHeader + header.size;
  if (header.type == guest::FrameType::fatal_error) {
    throw Error(ErrorCode::failed, "the guest gives up: " + shortened(payload));
  }
  return GuestFrame{header.type, payload};
}

bool GuestLink::wait(std::span<pollfd> others, Deadline deadline) {
  flush();
  return wait_flushed(others, deadline);
}

bool GuestLink::wait_flushed(std::span<pollfd> others, Deadline deadline) {
  // Back-pressure: stop reading when the backlog is full.
  const bool has_space = untaken() < kBacklog;
  const int wanted = (has_space ? POLLIN : 0) | (unsent() > 0 ? POLLOUT : 0);
  enum { kChannel, kStop, kConsole, kStderr, kOwn };
  std::array<pollfd, kOwn + kMaxOthers> waiting{
      {{ended_ || wanted == 0 ? -1 : machine_.channel(), static_cast<short>(wanted), 0},
       {wake_up_.get(), POLLIN, 0},
       {machine_.console(), POLLIN, 0},
       {machine_.stderr_fd(), POLLIN, 0}}};
  std::ranges::copy(others, waiting.begin() + kOwn);
  const int ready = ::poll(waiting.data(), kOwn + others.size(), poll_timeout(deadline));
  if (ready < 0 && errno != EINTR) throw system_error("cannot wait for the guest", errno);
  if (ready > 0) {
    std::copy_n(waiting.begin() + kOwn, others.size(), others.begin());
    if ((waiting[kChannel].revents & ~POLLOUT) != 0) receive();
    eventfd_t requests = 0;
    if (waiting[kStop].revents != 0) ::eventfd_read(wake_up_.get(), &requests);
    if (waiting[kConsole].revents != 0 || waiting[kStderr].revents != 0) machine_.drain_output();
  }
  return !deadline || Clock::now() < *deadline;
}

GuestFrame GuestLink::next(Deadline deadline) {
  while (true) {
    if (const auto frame = try_next()) return *frame;
    if (stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    if (!wait({}, deadline)) lost(kNoSign);
  }
}

void GuestLink::lost(const std::string& what) {
  // The process may exit shortly after its channel ends.
  constexpr std::chrono::milliseconds kExitTimeout{100};
  if (ended_) static_cast<void>(wait_to_read(machine_.process(), Clock::now() + kExitTimeout));
  machine_.drain_output();
  constexpr std::size_t kMaxFailureLine = 400;
  const std::string words = machine_.failure_line().substr(0, kMaxFailureLine);
  const MachineEnd end = ended_ ? machine_.how_it_ended() : MachineEnd{Loss::silence, {}};
  std::vector<std::string> causes{what};
  // The output of a failed monitor says more than its exit code.
  if (!end.how.empty() && (words.empty() || !end.hint.empty())) causes.push_back(end.how);
  if (!words.empty()) causes.push_back(words);
  MachineLost error(end.loss, causes.back());
  for (auto cause = std::next(causes.rbegin()); cause != causes.rend(); ++cause) {
    error.add_context(*cause);
  }
  if (!end.hint.empty()) error.add_hint(end.hint);
  throw error;
}

bool wait_for_kernel(GuestLink& link, Deadline deadline) {
  GuestFrame frame = link.next(deadline);
  if (frame.type != guest::FrameType::waiting) refuse_frame();
  const auto waiting = fixed_part<guest::WaitingPayload>(frame.payload);
  require_version(waiting.version);
  return waiting.disk_is_free != 0;
}

void handshake(GuestLink& link, std::string_view host_name, Deadline deadline) {
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
