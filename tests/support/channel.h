// One accepted connection of a test server, plain or TLS, with every way to end it.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "support/file_descriptor.h"
#include "support/http_message.h"
#include "support/openssl_handles.h"

namespace pyro::testing {

class Channel {
 public:
  /// Plain when `tls` is null; else handshake() comes first.
  Channel(FileDescriptor socket, SSL_CTX* tls);

  /// False if the peer refuses or does not speak TLS (then it gets an answer in plain HTTP).
  bool handshake();
  /// Bytes read; 0 at the end or on a failure.
  std::size_t read(char* buffer, std::size_t size);
  /// False when the peer has gone.
  bool write(std::string_view bytes);
  void end(Ending ending);
  int descriptor() const { return socket_.get(); }

 private:
  bool write_plain(std::string_view bytes);

  FileDescriptor socket_;
  SslHandle tls_;
};

/// A TLS server context with the certificate (chain) and key of those PEM files.
SslContextHandle server_context(const std::string& certificate_file, const std::string& key_file);
/// Makes it refuse clients without a certificate of that authority.
void require_client(SSL_CTX* context, const std::string& authority_file);

}  // namespace pyro::testing
