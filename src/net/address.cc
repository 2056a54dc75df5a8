// Whether an internet address is everybody's.
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

namespace pyro {
namespace {

struct Block4 {
  std::array<std::uint8_t, 4> prefix;
  int bits;
};

constexpr auto kSpecial4 = std::to_array<Block4>({
    {{0, 0, 0, 0}, 8},
    {{10, 0, 0, 0}, 8},
    {{100, 64, 0, 0}, 10},
    {{127, 0, 0, 0}, 8},
    {{169, 254, 0, 0}, 16},
    {{172, 16, 0, 0}, 12},
    {{192, 0, 0, 0}, 24},
    {{192, 0, 2, 0}, 24},
    {{192, 168, 0, 0}, 16},
    {{198, 18, 0, 0}, 15},
    {{198, 51, 100, 0}, 24},
    {{203, 0, 113, 0}, 24},
    {{224, 0, 0, 0}, 4},
    {{240, 0, 0, 0}, 4},
});

using Bytes = std::span<const std::uint8_t>;

bool starts_with_bits(Bytes address, Bytes prefix, int bits) {
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::ranges::equal(address.first(whole), prefix.first(whole))) return false;
  const int rest = bits % 8;
  return rest == 0 || (address[whole] ^ prefix[whole]) >> (8 - rest) == 0;
}

bool is_public4(Bytes address) {
  return std::ranges::none_of(kSpecial4, [&](const Block4& block) {
    return starts_with_bits(address, block.prefix, block.bits);
  });
}

bool is_public6(Bytes address) {
  constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  constexpr std::array<std::uint8_t, 12> kNat64 = {0, 0x64, 0xff, 0x9b};
  constexpr std::array<std::uint8_t, 2> k6to4 = {0x20, 0x02};
  constexpr std::array<std::uint8_t, 4> kTeredo = {0x20, 0x01, 0, 0};
  constexpr std::array<std::uint8_t, 4> kDocumentation = {0x20, 0x01, 0x0d, 0xb8};
  constexpr std::array<std::uint8_t, 1> kGlobal = {0x20};
  if (starts_with_bits(address, kMapped, 96) || starts_with_bits(address, kNat64, 96)) {
    return is_public4(address.subspan(12));
  }
  if (starts_with_bits(address, k6to4, 16)) return is_public4(address.subspan(2, 4));
  // All that is given out to anybody so far lies in 2000::/3.
  return starts_with_bits(address, kGlobal, 3) && !starts_with_bits(address, kTeredo, 32) &&
         !starts_with_bits(address, kDocumentation, 32);
}

}  // namespace

bool is_public(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const auto& ip = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    return is_public4({reinterpret_cast<const std::uint8_t*>(&ip), sizeof(ip)});
  }
  if (address.sa_family == AF_INET6) {
    const auto& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
    return is_public6({reinterpret_cast<const std::uint8_t*>(&ip), sizeof(ip)});
  }
  return false;
}

bool is_public(std::string_view address) noexcept {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (address.size() >= terminated.size()) return false;
  std::ranges::copy(address, terminated.begin());
  in_addr ip4{};
  if (::inet_pton(AF_INET, terminated.data(), &ip4) == 1) {
    return is_public4({reinterpret_cast<const std::uint8_t*>(&ip4), sizeof(ip4)});
  }
  in6_addr ip6{};
  return ::inet_pton(AF_INET6, terminated.data(), &ip6) == 1 &&
         is_public6({reinterpret_cast<const std::uint8_t*>(&ip6), sizeof(ip6)});
}

}  // namespace pyro
