// The guest's end of the channel.
#include "guest/channel.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

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

void Channel::read_all(void* bytes, std::size_t size) {
  if (!guest::read_all(port_, bytes, size)) power_off();
}

Frame Channel::read() {
  FrameHeader header;
  read_all(&header, sizeof header);
  if (header.size > kMaxPayload) give_up("a frame is too large");
  read_all(in_, header.size);
  in_[header.size] = '\0';
  return {header.type, {in_, header.size}};
}

void Channel::write_all(const char* bytes, std::size_t size) {
  if (!guest::write_all(port_, {bytes, size})) power_off();
}

void Channel::write(FrameType type, std::string_view payload) {
  write(type, nullptr, 0, payload);
}

// In one piece: each write(2) is a message to the host, and a wait for it.
void Channel::write(FrameType type, const void* fixed, std::size_t fixed_size,
                    std::string_view rest) {
  if (fixed_size + rest.size() > kMaxPayload) {
    rest = rest.substr(0, kMaxPayload - fixed_size);
  }
  const FrameHeader header{static_cast<std::uint32_t>(fixed_size + rest.size()), type, {}};
  std::memcpy(out_, &header, sizeof header);
  if (fixed_size > 0) std::memcpy(out_ + sizeof header, fixed, fixed_size);
  if (!rest.empty()) std::memcpy(out_ + sizeof header + fixed_size, rest.data(), rest.size());
  write_all(out_, sizeof header + header.size);
}

long Channel::forward(FrameType type, int fd) {
  const long got = ::read(fd, out_ + sizeof(FrameHeader), kStreamPiece);
  if (got <= 0) return got;
  const FrameHeader header{static_cast<std::uint32_t>(got), type, {}};
  std::memcpy(out_, &header, sizeof header);
  write_all(out_, sizeof header + header.size);
  return got;
}

}  // namespace pyro::guest
