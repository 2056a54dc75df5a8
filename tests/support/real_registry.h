// Debian's docker-registry on loopback, for as long as a test needs it.
#pragma once

#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "support/background_process.h"
#include "support/certificates.h"
#include "support/temp_dir.h"

namespace pyro::testing {

struct RealRegistryOptions {
  enum class Auth { open, basic, bearer };

  Auth auth = Auth::open;
  // Basic.
  std::string user = "user";
  std::string password = "secret";
  // Bearer: what the token server says of itself, see TokenServer.
  std::string realm = {};
  std::string service = "pyro-test-registry";
  std::string issuer = "pyro-test-tokens";
  std::filesystem::path token_certificates = {};  ///< The registry's rootcertbundle.

  bool tls = true;
  bool http2 = true;
  /// A pull-through cache of the registry at this URL; the same authority is trusted there.
  std::string proxied_url = {};
};

/// Runs `docker-registry serve` over TLS on a free port, with storage that goes with it.
class RealRegistry {
 public:
  /// `authority` signs its certificate for localhost. Returns once it answers; throws
  /// std::runtime_error with its log when it does not.
  explicit RealRegistry(const CertificateAuthority& authority,
                        const RealRegistryOptions& options = {});

  int port() const { return port_; }
  std::string host(const std::string& name = "localhost") const;
  std::string url(const std::string& name = "localhost") const;
  std::string log() const { return process_->output(); }
  pid_t pid() const { return process_->pid(); }
  /// Whether it has stored that blob; a pull-through cache does so after it has answered.
  bool has_blob(const std::string& digest) const;
  /// At once, as by a power cut.
  void kill() { process_->send_signal(SIGKILL); }

 private:
  std::string configuration(const CertificateAuthority& authority) const;
  void write_password_file() const;

  RealRegistryOptions options_;
  TempDir dir_;
  int port_ = 0;
  std::unique_ptr<BackgroundProcess> process_;
};

}  // namespace pyro::testing
