// Text to digest and back.
#include "pyro/digest.h"

namespace pyro {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::string_view kDigits = "0123456789abcdef";

std::optional<unsigned> nibble(char digit) {
  const std::size_t value = kDigits.find(digit);
  if (value == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(value);
}

}  // namespace

std::optional<Digest> Digest::parse(std::string_view text) {
  if (!text.starts_with(kPrefix)) return std::nullopt;
  return parse_hex(text.substr(kPrefix.size()));
}

std::optional<Digest> Digest::parse_hex(std::string_view hex) {
  if (hex.size() != 2 * kSize) return std::nullopt;
  Bytes bytes;
  for (std::size_t i = 0; i < kSize; ++i) {
    const auto high = nibble(hex[2 * i]);
    const auto low = nibble(hex[2 * i + 1]);
    if (!high || !low) return std::nullopt;
    bytes[i] = static_cast<std::byte>(*high << 4 | *low);
  }
  return Digest(bytes);
}

std::string Digest::hex() const {
  std::string text;
  text.reserve(2 * kSize);
  for (const std::byte byte : bytes_) {
    text += kDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

std::string Digest::to_string() const {
  return std::string(kPrefix) + hex();
}

}  // namespace pyro
