// Throw-away certificates for TLS tests.
#include "support/certificates.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "support/openssl_handles.h"
#include "support/temp_dir.h"

namespace pyro::testing {
namespace {

std::string pem_of(X509* certificate) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  require_openssl(PEM_write_bio_X509(bio.get(), certificate) == 1, "write certificate");
  return bio_text(bio.get());
}

std::string pem_of(EVP_PKEY* key) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  require_openssl(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr),
                  "write key");
  return bio_text(bio.get());
}

BioHandle read_only(const std::string& pem) {
  return BioHandle(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

KeyHandle new_key() {
  KeyHandle key(EVP_EC_gen("P-256"));
  require_openssl(key != nullptr, "generate key");
  return key;
}

void set_serial_number(X509* certificate) {
  unsigned char bytes[8];
  require_openssl(RAND_bytes(bytes, sizeof bytes) == 1, "random serial number");
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 1);  // positive, eight bytes
  const std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>> number(
      BN_bin2bn(bytes, sizeof bytes, nullptr));
  require_openssl(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr,
                  "serial number");
}

void set_validity(X509* certificate, std::chrono::seconds from, std::chrono::seconds until) {
  X509_gmtime_adj(X509_getm_notBefore(certificate), from.count());
  X509_gmtime_adj(X509_getm_notAfter(certificate), until.count());
}

void set_subject(X509* certificate, const std::string& common_name) {
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
}

void add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>> extension(
      X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  require_openssl(extension != nullptr, "extension " + value);
  require_openssl(X509_add_ext(certificate, extension.get(), -1) == 1, "add extension");
}

CertificateHandle new_certificate(const std::string& common_name, EVP_PKEY* key) {
  CertificateHandle certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  set_serial_number(certificate.get());
  set_subject(certificate.get(), common_name);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

void sign(X509* certificate, X509* issuer, EVP_PKEY* issuer_key) {
  X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
  add_extension(certificate, issuer, NID_subject_key_identifier, "hash");
  require_openssl(X509_sign(certificate, issuer_key, EVP_sha256()) != 0, "sign certificate");
}

std::string alternative_names(const LeafOptions& options) {
  std::string text;
  for (const std::string& name : options.names) text += "DNS:" + name + ",";
  for (const std::string& address : options.addresses) text += "IP:" + address + ",";
  if (!text.empty()) text.pop_back();
  return text;
}

CertificateHandle new_leaf(const LeafOptions& options, EVP_PKEY* key) {
  CertificateHandle leaf =
      new_certificate(options.names.empty() ? options.file_name : options.names.front(), key);
  set_validity(leaf.get(), options.valid_from, options.valid_until);
  const std::string names = alternative_names(options);
  if (!names.empty()) add_extension(leaf.get(), leaf.get(), NID_subject_alt_name, names);
  add_extension(leaf.get(), leaf.get(), NID_key_usage, "critical,digitalSignature");
  add_extension(leaf.get(), leaf.get(), NID_ext_key_usage,
                options.for_client ? "clientAuth" : "serverAuth");
  return leaf;
}

KeyPair write_pair(const std::filesystem::path& dir, const std::string& name,
                   const std::string& certificates, EVP_PKEY* key) {
  KeyPair files{dir / (name + ".crt"), dir / (name + ".key")};
  write_file(files.certificate, certificates);
  write_file(files.key, pem_of(key));
  return files;
}

}  // namespace

LeafOptions expired_leaf() {
  LeafOptions options;
  options.file_name = "expired";
  options.valid_from = std::chrono::hours(-48);
  options.valid_until = std::chrono::hours(-1);
  return options;
}

LeafOptions not_yet_valid_leaf() {
  LeafOptions options;
  options.file_name = "not-yet-valid";
  options.valid_from = std::chrono::hours(1);
  return options;
}

LeafOptions wrong_host_leaf() {
  LeafOptions options;
  options.file_name = "wrong-host";
  options.names = {"registry.example"};
  options.addresses = {"192.0.2.1"};
  return options;
}

CertificateAuthority::CertificateAuthority(std::filesystem::path dir,
                                           const std::string& common_name)
    : dir_(std::move(dir)) {
  const KeyHandle key = new_key();
  const CertificateHandle certificate = new_certificate(common_name, key.get());
  set_validity(certificate.get(), std::chrono::hours(-72), std::chrono::hours(72));
  add_extension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE");
  add_extension(certificate.get(), certificate.get(), NID_key_usage,
                "critical,keyCertSign,cRLSign");
  sign(certificate.get(), certificate.get(), key.get());
  certificate_pem_ = pem_of(certificate.get());
  key_pem_ = pem_of(key.get());
  write_file(certificate_file(), certificate_pem_);
}

KeyPair CertificateAuthority::issue(const LeafOptions& options) const {
  const CertificateHandle issuer(
      PEM_read_bio_X509(read_only(certificate_pem_).get(), nullptr, nullptr, nullptr));
  const KeyHandle issuer_key(
      PEM_read_bio_PrivateKey(read_only(key_pem_).get(), nullptr, nullptr, nullptr));
  const KeyHandle key = new_key();
  const CertificateHandle leaf = new_leaf(options, key.get());
  sign(leaf.get(), issuer.get(), issuer_key.get());
  return write_pair(dir_, options.file_name, pem_of(leaf.get()) + certificate_pem_, key.get());
}

KeyPair self_signed(const std::filesystem::path& dir, const LeafOptions& options) {
  const KeyHandle key = new_key();
  const CertificateHandle leaf = new_leaf(options, key.get());
  sign(leaf.get(), leaf.get(), key.get());
  return write_pair(dir, options.file_name, pem_of(leaf.get()), key.get());
}

}  // namespace pyro::testing
