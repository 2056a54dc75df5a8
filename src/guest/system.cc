// The machine as a whole: errors and power-off, clock, random numbers, name and network.
#include "guest/system.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <ctime>

#include "guest/channel.h"
#include "guest/descriptor.h"

namespace pyro::guest {
namespace {

Channel* listener = nullptr;

void say_on_console(std::string_view text) {
  const Descriptor console(::open("/dev/console", O_WRONLY | O_CLOEXEC));
  const std::string line = "pyro: " + std::string(text) + '\n';
  static_cast<void>(!::write(console.get(), line.data(), line.size()));
}

void set_clock(std::int64_t nanoseconds_since_1970) {
  constexpr std::int64_t kBillion = 1'000'000'000;
  timespec now{};
  now.tv_sec = nanoseconds_since_1970 / kBillion;
  now.tv_nsec = nanoseconds_since_1970 % kBillion;
  ::clock_settime(CLOCK_REALTIME, &now);
}

// Credited and reseeded at once, so that the next random number depends on it.
void reseed(const std::uint8_t (&seed)[kSeedBytes]) {
  alignas(rand_pool_info) std::byte request[sizeof(rand_pool_info) + kSeedBytes];
  rand_pool_info info{};
  info.entropy_count = kSeedBytes * 8;
  info.buf_size = kSeedBytes;
  std::memcpy(request, &info, sizeof info);
  std::memcpy(request + sizeof info, seed, kSeedBytes);
  static const Descriptor random(::open("/dev/urandom", O_WRONLY | O_CLOEXEC));
  if (::ioctl(random.get(), RNDADDENTROPY, request) != 0 ||
      ::ioctl(random.get(), RNDRESEEDCRNG) != 0) {
    give_up("the random pool takes no seed");
  }
}

// A resumed machine usually has the name already.
void set_name(const std::string& wanted) {
  utsname names{};
  if (::uname(&names) == 0 && wanted == names.nodename) return;
  ::sethostname(wanted.data(), wanted.size());
  write_names(wanted);
}

constexpr const char* kNetmask = "255.255.255.0";

sockaddr_in address(const char* text) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  ::inet_pton(AF_INET, text, &result.sin_addr);
  return result;
}

ifreq request_for(const char* interface) {
  ifreq request{};
  std::strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
  return request;
}

bool bring_up(int socket, const char* interface) {
  ifreq request = request_for(interface);
  if (::ioctl(socket, SIOCGIFFLAGS, &request) != 0) return false;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  return ::ioctl(socket, SIOCSIFFLAGS, &request) == 0;
}

void set_address(int socket, const char* interface, unsigned long what, const char* text) {
  ifreq request = request_for(interface);
  const sockaddr_in value = address(text);
  std::memcpy(&request.ifr_addr, &value, sizeof value);
  ::ioctl(socket, what, &request);
}

void set_default_route(int socket) {
  rtentry route{};
  const sockaddr_in any = address("0.0.0.0");
  const sockaddr_in gateway = address(kGatewayAddress);
  std::memcpy(&route.rt_dst, &any, sizeof any);
  std::memcpy(&route.rt_genmask, &any, sizeof any);
  std::memcpy(&route.rt_gateway, &gateway, sizeof gateway);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  ::ioctl(socket, SIOCADDRT, &route);
}

}  // namespace

// A reset: unlike powering off, it needs no ACPI. The monitor exits on it.
void power_off() {
  ::reboot(RB_AUTOBOOT);
  for (;;) ::pause();
}

void report_to(Channel& channel) {
  listener = &channel;
}

void give_up(std::string_view why) {
  say_on_console(why);
  if (Channel* const channel = listener) {
    listener = nullptr;
    channel->write(kControlSession, FrameType::fatal_error, why);
    channel->flush();
  }
  power_off();
}

void give_up(std::string_view what, int error_number) {
  give_up(std::string(what) + ": " + std::strerror(error_number));
}

void begin_session(const StartPayload& start, const std::string& host_name) {
  set_clock(start.nanoseconds_since_1970);
  reseed(start.seed);
  set_name(host_name);
}

void set_up_network(bool is_container) {
  const Descriptor owner(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int socket = owner.get();
  bring_up(socket, "lo");
  // Asking for an interface that is not there has the kernel start modprobe, which takes a fifth of
  // the whole boot.
  if (::access("/sys/class/net/eth0", F_OK) == 0) {
    set_address(socket, "eth0", SIOCSIFADDR, kGuestAddress);
    bring_up(socket, "eth0");
    set_address(socket, "eth0", SIOCSIFNETMASK, kNetmask);
    set_default_route(socket);
    write_own_file("/etc/resolv.conf", std::string("nameserver ") + kNameServerAddress + '\n');
  } else if (is_container) {
    // The image may have that of the machine which it was built on.
    write_own_file("/etc/resolv.conf", "");
  }
}

}  // namespace pyro::guest
