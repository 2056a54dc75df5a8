// The guest's end of the channel.
#include "guest/channel.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "guest/descriptor.h"
#include "guest/system.h"

namespace pyro::guest {
namespace {

constexpr const char* kPorts = "/sys/class/virtio-ports";

bool has_name(const std::string& port, std::string_view wanted) {
  const Descriptor file(
      ::open((std::string(kPorts) + '/' + port + "/name").c_str(), O_RDONLY | O_CLOEXEC));
  char name[64];
  const long size = ::read(file.get(), name, sizeof name);
  return size == static_cast<long>(wanted.size()) + 1 &&
         std::string_view(name, wanted.size()) == wanted;
}

std::string find_port() {
  std::string found;
  DIR* const ports = ::opendir(kPorts);
  if (ports == nullptr) return found;
  while (const dirent* const entry = ::readdir(ports)) {
    if (entry->d_name[0] != '.' && has_name(entry->d_name, kPortName)) found = entry->d_name;
  }
  ::closedir(ports);
  return found;
}

}  // namespace

void Channel::open() {
  const bool opened = wait_for([this] {
    const std::string port = find_port();
    if (port.empty()) return false;
    port_ = ::open(("/dev/" + port).c_str(), O_RDWR | O_CLOEXEC);
    return port_ >= 0;
  });
  if (!opened) {
    give_up("no virtio-serial port appeared: neither the kernel nor its initrd.img has a driver");
  }
}

// Reads until so many bytes are there.
void Channel::fill(std::size_t size) {
  if (unread() >= size) return;
  std::memmove(in_, in_ + in_begin_, unread());
  in_end_ -= std::exchange(in_begin_, 0);
  while (in_end_ < size) {
    const long got = ::read(port_, in_ + in_end_, sizeof in_ - in_end_);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) power_off();
    in_end_ += static_cast<std::size_t>(got);
  }
}

bool Channel::has_frame() const {
  FrameHeader header;
  if (unread() < sizeof header) return false;
  std::memcpy(&header, in_ + in_begin_, sizeof header);
  return unread() - sizeof header >= header.size;
}

Frame Channel::read() {
  FrameHeader header;
  fill(sizeof header);
  std::memcpy(&header, in_ + in_begin_, sizeof header);
  if (header.size > kMaxPayload) give_up("a frame is too large");
  fill(sizeof header + header.size);
  const char* const payload = in_ + in_begin_ + sizeof header;
  in_begin_ += sizeof header + header.size;
  return {header.type, header.session, {payload, header.size}};
}

void Channel::flush() {
  if (!write_all(port_, {out_, std::exchange(out_size_, 0)})) power_off();
}

void Channel::reserve(std::size_t size) {
  if (out_size_ + size > sizeof out_) flush();
}

void Channel::write(std::uint16_t session, FrameType type, std::string_view payload) {
  write(session, type, nullptr, 0, payload);
}

void Channel::write(std::uint16_t session, FrameType type, const void* fixed,
                    std::size_t fixed_size, std::string_view rest) {
  rest = rest.substr(0, kStreamPiece - fixed_size);
  const FrameHeader header{static_cast<std::uint32_t>(fixed_size + rest.size()), type, 0, session};
  reserve(sizeof header + header.size);
  const auto add = [this](const void* bytes, std::size_t size) {
    if (size > 0) std::memcpy(out_ + std::exchange(out_size_, out_size_ + size), bytes, size);
  };
  add(&header, sizeof header);
  add(fixed, fixed_size);
  add(rest.data(), rest.size());
}

long Channel::forward(std::uint16_t session, FrameType type, int fd, std::size_t most,
                      bool reads_often) {
  // A short frame behind others would be followed by another.
  constexpr std::size_t kLeast = 8 << 10;
  reserve(kHeaderSize + kLeast);
  char* const frame = out_ + out_size_;
  char* const payload = frame + kHeaderSize;
  const std::size_t room = std::min(most, sizeof out_ - out_size_ - kHeaderSize);
  long got = ::read(fd, payload, room);
  if (got <= 0) return got;
  auto size = static_cast<std::size_t>(got);
  while (reads_often && size < room && (got = ::read(fd, payload + size, room - size)) > 0) {
    size += static_cast<std::size_t>(got);
  }
  const FrameHeader header{static_cast<std::uint32_t>(size), type, 0, session};
  std::memcpy(frame, &header, sizeof header);
  out_size_ += sizeof header + size;
  return static_cast<long>(size);
}

}  // namespace pyro::guest
