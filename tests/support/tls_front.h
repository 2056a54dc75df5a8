// TLS in front of a server that speaks none.
#pragma once

#include "support/certificates.h"
#include "support/openssl_handles.h"
#include "support/tunnel.h"

namespace pyro::testing {

class TlsFront {
 public:
  /// What comes out of TLS goes to `port` on 127.0.0.1, and back.
  TlsFront(const KeyPair& keys, int port);

  int port() const { return server_.port(); }

 private:
  void serve(int client, const std::stop_token& stop);

  const int target_;
  SslContextHandle tls_;
  LoopbackServer server_;  // last: it ends before what it uses
};

}  // namespace pyro::testing
