// A SOCKS proxy for tests (RFC 1928, without a login), to which every name is this machine.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "support/tunnel.h"

namespace pyro::testing {

class SocksProxy {
 public:
  /// `reply` is its answer to every request; all but 0 refuse.
  explicit SocksProxy(std::uint8_t reply = 0);

  /// "127.0.0.1:PORT"
  std::string authority() const;
  /// What was asked for by name, as "registry.test:443"; other kinds of addresses are refused.
  std::vector<std::string> seen() const;

 private:
  void serve(int client, const std::stop_token& stop);

  const std::uint8_t reply_;
  mutable std::mutex mutex_;
  std::vector<std::string> seen_;  // guarded by mutex_
  LoopbackServer server_;          // last: it ends before what it uses
};

}  // namespace pyro::testing
