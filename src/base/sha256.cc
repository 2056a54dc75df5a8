// SHA-256 by OpenSSL.
#include "base/sha256.h"

#include <openssl/evp.h>

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

}  // namespace pyro
