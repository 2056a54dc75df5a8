// Throw-away certificates for TLS tests.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace pyro::testing {

/// PEM files of a certificate (leaf first, then its issuer) and of its private key.
struct KeyPair {
  std::filesystem::path certificate;
  std::filesystem::path key;
};

struct LeafOptions {
  std::string file_name = "server";  ///< The files are NAME.crt and NAME.key.
  std::vector<std::string> names = {"localhost"};
  std::vector<std::string> addresses = {"127.0.0.1", "::1"};
  bool for_client = false;                                   ///< To be shown to a server.
  std::chrono::seconds valid_from = std::chrono::hours(-1);  ///< Counted from now.
  std::chrono::seconds valid_until = std::chrono::hours(24);
};

/// A certificate that ended an hour ago, one that begins in an hour, and
/// one for other hosts than the loopback ones.
LeafOptions expired_leaf();
LeafOptions not_yet_valid_leaf();
LeafOptions wrong_host_leaf();

/// A new certificate authority (EC P-256), which no client trusts by default.
class CertificateAuthority {
 public:
  /// Writes `dir`/ca/ca.crt and keeps the issued files in `dir`.
  explicit CertificateAuthority(std::filesystem::path dir,
                                const std::string& common_name = "pyro test authority");

  /// For SSL_CERT_FILE and `curl --cacert`.
  std::filesystem::path certificate_file() const { return dir_ / "ca" / "ca.crt"; }
  /// For `skopeo --dest-cert-dir`: holds nothing else.
  std::filesystem::path certificate_dir() const { return dir_ / "ca"; }

  KeyPair issue(const LeafOptions& options = {}) const;

 private:
  std::filesystem::path dir_;
  std::string certificate_pem_;
  std::string key_pem_;
};

/// A leaf that is its own issuer.
KeyPair self_signed(const std::filesystem::path& dir, const LeafOptions& options = {});

}  // namespace pyro::testing
