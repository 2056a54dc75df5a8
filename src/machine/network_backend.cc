// Networks by passt.
#include "machine/network_backend.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/ether.h>
#include <netinet/if_ether.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/subprocess.h"
#include "guest/protocol.h"
#include "machine/deadline.h"

namespace pyro {
namespace {

/// As its guests' neighbours remember it, also in saved states.
constexpr const char* kGatewayMac = "52:55:0a:00:02:02";
constexpr std::chrono::seconds kAnswerTimeout{5};
constexpr std::size_t kMaxFrame = 1 << 16;

[[noreturn]] void fail_to_start(const std::string& why) {
  throw Error(ErrorCode::failed, "the network of the machine does not start: " + why,
              "--network user+host needs no passt; it lets the guest reach services on this host's "
              "loopback interface, at 10.0.2.2");
}

/// A frame that asks who has the address of the gateway, as the guest would.
std::string arp_request() {
  ether_header ethernet{};
  ether_arp arp{};
  ether_addr mac{};
  ::ether_aton_r(kGuestMac, &mac);
  std::memset(ethernet.ether_dhost, 0xff, ETH_ALEN);
  std::memcpy(ethernet.ether_shost, &mac, ETH_ALEN);
  ethernet.ether_type = htons(ETHERTYPE_ARP);
  arp.ea_hdr.ar_hrd = htons(ARPHRD_ETHER);
  arp.ea_hdr.ar_pro = htons(ETHERTYPE_IP);
  arp.ea_hdr.ar_hln = ETH_ALEN;
  arp.ea_hdr.ar_pln = sizeof(in_addr);
  arp.ea_hdr.ar_op = htons(ARPOP_REQUEST);
  std::memcpy(arp.arp_sha, &mac, ETH_ALEN);
  ::inet_pton(AF_INET, guest::kGuestAddress, arp.arp_spa);
  ::inet_pton(AF_INET, guest::kGatewayAddress, arp.arp_tpa);
  std::string frame(sizeof ethernet + sizeof arp, '\0');
  std::memcpy(frame.data(), &ethernet, sizeof ethernet);
  std::memcpy(frame.data() + sizeof ethernet, &arp, sizeof arp);
  return frame;
}

bool is_arp_reply(std::string_view frame) {
  ether_header ethernet{};
  ether_arp arp{};
  if (frame.size() < sizeof ethernet + sizeof arp) return false;
  std::memcpy(&ethernet, frame.data(), sizeof ethernet);
  std::memcpy(&arp, frame.data() + sizeof ethernet, sizeof arp);
  return ethernet.ether_type == htons(ETHERTYPE_ARP) && arp.ea_hdr.ar_op == htons(ARPOP_REPLY);
}

class Passt : public NetworkBackend {
 public:
  explicit Passt(const std::filesystem::path& program)
      : Passt(program, make_socket_pair(), Pipe()) {}

  [[nodiscard]] int guest_end() const noexcept override { return guest_.get(); }
  void close_guest_end() noexcept override { guest_.reset(); }

  // It says nowhere that it is ready: its answer does.
  void wait_until_it_answers() {
    const auto deadline = Clock::now() + kAnswerTimeout;
    const std::string request = arp_request();
    const std::uint32_t size = htonl(static_cast<std::uint32_t>(request.size()));
    std::string bytes(reinterpret_cast<const char*>(&size), sizeof size);
    bytes += request;
    ::send(guest_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    while (!is_arp_reply(read_frame(deadline))) {
    }
  }

 private:
  struct Ends {
    Fd guest;
    Fd passt;
  };

  Passt(const std::filesystem::path& program, Ends ends, Pipe errors)
      : guest_(std::move(ends.guest)),
        errors_(std::move(errors.read)),
        process_(start_of(program, ends.passt.get(), errors.write.get()), "passt") {}

  static Ends make_socket_pair() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      throw system_error("cannot make a socket", errno);
    }
    return {Fd(ends[0]), Fd(ends[1])};
  }

  // Without a mapped gateway no connection leads to the loopback interface of the host.
  static ProcessStart start_of(const std::filesystem::path& program, int socket, int errors) {
    return {.program = program,
            .arguments = {program.string(),
                          "--foreground",
                          "--stderr",
                          "--quiet",
                          "--fd",
                          "3",
                          "--ipv4-only",
                          "--address",
                          guest::kGuestAddress,
                          "--netmask",
                          "24",
                          "--gateway",
                          guest::kGatewayAddress,
                          "--mac-addr",
                          kGatewayMac,
                          "--dns-forward",
                          guest::kNameServerAddress,
                          "--no-map-gw",
                          "--no-dhcp",
                          "--tcp-ports",
                          "none",
                          "--udp-ports",
                          "none"},
            .variables = {"PATH=/usr/bin:/bin"},
            .descriptors = {-1, errors, errors, socket},
            .group = ProcessStart::Group::in_new_session};
  }

  std::string read_frame(Deadline deadline) {
    std::uint32_t size = 0;
    read_all({reinterpret_cast<char*>(&size), sizeof size}, deadline);
    size = ntohl(size);
    if (size > kMaxFrame) fail_to_start("passt sends what is no frame");
    std::string frame(size, '\0');
    read_all({frame.data(), frame.size()}, deadline);
    return frame;
  }

  void read_all(std::span<char> bytes, Deadline deadline) {
    while (!bytes.empty()) {
      if (!wait_to_read(guest_.get(), deadline)) fail_to_start("passt does not answer");
      const ssize_t got = ::recv(guest_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0) fail_to_start("passt ended: " + last_words());
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
  }

  // The last line that is no complaint about the system log.
  std::string last_words() {
    process_.kill();  // it may still hold the pipe
    std::string text;
    std::array<char, 4096> piece;
    ssize_t got = 0;
    while ((got = ::read(errors_.get(), piece.data(), piece.size())) > 0) {
      text.append(piece.data(), static_cast<std::size_t>(got));
    }
    std::string last = "it says nothing";
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      const std::string line = text.substr(begin, end - begin);
      if (!line.empty() && !line.starts_with("Failed to send ")) last = line;
      begin = end + 1;
    }
    return last;
  }

  Fd guest_;
  Fd errors_;
  Subprocess process_;
};

}  // namespace

std::filesystem::path find_passt() {
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): see the header.
  return find_program(path == nullptr ? "" : path, "passt");
}

std::unique_ptr<NetworkBackend> start_network(GuestNetwork network) {
  if (network != GuestNetwork::user) return nullptr;
  const std::filesystem::path program = find_passt();
  if (program.empty())
    fail_to_start("there is no passt in the directories of $PATH (apt install passt)");
  auto passt = std::make_unique<Passt>(program);
  passt->wait_until_it_answers();
  return passt;
}

}  // namespace pyro
