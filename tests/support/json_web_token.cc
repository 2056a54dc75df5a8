// Signs JSON web tokens with ES256.
#include "support/json_web_token.h"

#include <openssl/ecdsa.h>
#include <openssl/pem.h>

#include <array>
#include <nlohmann/json.hpp>

#include "support/hash.h"
#include "support/openssl_handles.h"
#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

constexpr int kCoordinate = 32;

BioHandle open_pem(const std::filesystem::path& file) {
  BioHandle bio(BIO_new_file(file.c_str(), "r"));
  require_openssl(bio != nullptr, file.string());
  return bio;
}

std::string der_certificate(const std::filesystem::path& file) {
  const CertificateHandle certificate(
      PEM_read_bio_X509(open_pem(file).get(), nullptr, nullptr, nullptr));
  require_openssl(certificate != nullptr, file.string());
  std::string der(static_cast<std::size_t>(i2d_X509(certificate.get(), nullptr)), '\0');
  auto* at = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate.get(), &at);
  return der;
}

std::string der_signature(const std::string& text, EVP_PKEY* key) {
  const DigestContextHandle context(EVP_MD_CTX_new());
  require_openssl(EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1,
                  "sign");
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = 0;
  require_openssl(EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) == 1, "sign");
  std::string signature(size, '\0');
  require_openssl(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                                 &size, bytes, text.size()) == 1,
                  "sign");
  signature.resize(size);
  return signature;
}

// JSON web signatures want the two numbers plain, OpenSSL wraps them in DER (RFC 7518, 3.4).
std::string raw_signature(const std::string& der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const std::unique_ptr<ECDSA_SIG, OpensslDeleter<ECDSA_SIG_free>> parsed(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  require_openssl(parsed != nullptr, "parse signature");
  std::array<unsigned char, 2 * kCoordinate> raw{};
  BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), raw.data(), kCoordinate);
  BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), raw.data() + kCoordinate, kCoordinate);
  return {reinterpret_cast<const char*>(raw.data()), raw.size()};
}

}  // namespace

std::string sign_token(const nlohmann::json& claims, const KeyPair& signer) {
  const KeyHandle key(
      PEM_read_bio_PrivateKey(open_pem(signer.key).get(), nullptr, nullptr, nullptr));
  require_openssl(key != nullptr, signer.key.string());
  const nlohmann::json header{
      {"typ", "JWT"}, {"alg", "ES256"}, {"x5c", {base64(der_certificate(signer.certificate))}}};
  const std::string text = base64url(header.dump()) + "." + base64url(claims.dump());
  return text + "." + base64url(raw_signature(der_signature(text, key.get())));
}

}  // namespace pyro::testing
