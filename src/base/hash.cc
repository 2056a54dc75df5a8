// SHA-256, by OpenSSL, and its digests as text.
#include "base/hash.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <new>

#include "pyro/error.h"

namespace pyro {
namespace {

// Fetched once: an implicit fetch costs more than hashing a 4 KiB block does.
const EVP_MD* algorithm() {
  static const EVP_MD* const md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return md;
}

void require(int ok) {
  if (ok != 1) throw Error(ErrorCode::failed, "SHA-256 is not available from OpenSSL");
}

constexpr std::string_view kDigestPrefix = "sha256:";
constexpr std::string_view kHexDigits = "0123456789abcdef";

std::optional<unsigned> nibble(char digit) {
  const std::size_t value = kHexDigits.find(digit);
  if (value == std::string_view::npos) return std::nullopt;
  return static_cast<unsigned>(value);
}

}  // namespace

struct Sha256::Context {
  Context() : md(EVP_MD_CTX_new()) {
    if (md == nullptr) throw std::bad_alloc();
  }
  ~Context() { EVP_MD_CTX_free(md); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  EVP_MD_CTX* md;
};

Sha256::Sha256() : context_(std::make_unique<Context>()) {
  require(EVP_DigestInit_ex(context_->md, algorithm(), nullptr));
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(context_->md, bytes.data(), bytes.size()));
}

Sha256 Sha256::copy() const {
  Sha256 other;
  require(EVP_MD_CTX_copy_ex(other.context_->md, context_->md));
  return other;
}

Digest Sha256::finish() {
  Digest::Bytes bytes;
  require(
      EVP_DigestFinal_ex(context_->md, reinterpret_cast<unsigned char*>(bytes.data()), nullptr));
  require(EVP_DigestInit_ex(context_->md, nullptr, nullptr));
  return Digest(bytes);
}

Digest sha256(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Digest sha256(std::string_view text) {
  return sha256(std::as_bytes(std::span(text)));
}

Digest hmac_sha256(std::string_view key, std::string_view text) {
  Digest::Bytes bytes{};
  const unsigned char* const done =
      HMAC(algorithm(), key.data(), static_cast<int>(key.size()),
           reinterpret_cast<const unsigned char*>(text.data()), text.size(),
           reinterpret_cast<unsigned char*>(bytes.data()), nullptr);
  require(done != nullptr ? 1 : 0);
  return Digest(bytes);
}

std::optional<Digest> Digest::parse(std::string_view text) {
  if (!text.starts_with(kDigestPrefix)) return std::nullopt;
  return parse_hex(text.substr(kDigestPrefix.size()));
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
    text += kHexDigits[std::to_integer<unsigned>(byte) >> 4];
    text += kHexDigits[std::to_integer<unsigned>(byte) & 15];
  }
  return text;
}

std::string Digest::to_string() const {
  return std::string(kDigestPrefix) + hex();
}

}  // namespace pyro
