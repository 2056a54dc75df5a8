// The network, as far as a guest has one: the loopback interface, and QEMU's user network, whose
// addresses are fixed (QEMU's documentation, "Using the user mode network stack").
#include <arpa/inet.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "guest/descriptor.h"
#include "guest/machine.h"

namespace pyro::guest {
namespace {

constexpr const char* kAddress = "10.0.2.15";
constexpr const char* kNetmask = "255.255.255.0";
constexpr const char* kGateway = "10.0.2.2";
constexpr std::string_view kNameServers = "nameserver 10.0.2.3\n";

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
  const sockaddr_in gateway = address(kGateway);
  std::memcpy(&route.rt_dst, &any, sizeof any);
  std::memcpy(&route.rt_genmask, &any, sizeof any);
  std::memcpy(&route.rt_gateway, &gateway, sizeof gateway);
  route.rt_flags = RTF_UP | RTF_GATEWAY;
  ::ioctl(socket, SIOCADDRT, &route);
}

}  // namespace

void set_up_network() {
  const Descriptor owner(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const int socket = owner.get();
  bring_up(socket, "lo");
  // Asking for an interface that is not there has the kernel start modprobe, which takes a fifth of
  // the whole boot.
  if (::access("/sys/class/net/eth0", F_OK) == 0) {
    set_address(socket, "eth0", SIOCSIFADDR, kAddress);
    bring_up(socket, "eth0");
    set_address(socket, "eth0", SIOCSIFNETMASK, kNetmask);
    set_default_route(socket);
    write_own_file("/etc/resolv.conf", kNameServers);
  }
}

}  // namespace pyro::guest
