// An HTTP proxy for tests, to which every name is this machine.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "support/tunnel.h"

namespace pyro::testing {

struct ConnectProxyOptions {
  std::string login = {};               ///< "user:password" that it demands, if any.
  std::optional<int> refuse_with = {};  ///< Its answer to everything.
  std::optional<int> divert_to = {};    ///< The port where all tunnels end, as with an interceptor.
};

/// Takes CONNECT, and requests for http:// URLs; leads to the port that is asked for on 127.0.0.1.
class ConnectProxy {
 public:
  struct Seen {
    std::string method;
    std::string target;         ///< "registry.test:443", or a URL.
    std::string authorization;  ///< Proxy-Authorization; mostly empty.
  };

  explicit ConnectProxy(ConnectProxyOptions options = {});

  int port() const { return server_.port(); }
  /// "127.0.0.1:PORT"
  std::string authority() const;
  /// "http://127.0.0.1:PORT", with "LOGIN@" where it is given.
  std::string url(const std::string& login = {}) const;
  /// In the order of arrival, the refused ones too.
  std::vector<Seen> seen() const;

 private:
  void serve(int client, const std::stop_token& stop);
  std::optional<std::string> refusal(const Seen& request) const;

  const ConnectProxyOptions options_;
  mutable std::mutex mutex_;
  std::vector<Seen> seen_;  // guarded by mutex_
  LoopbackServer server_;   // last: it ends before what it uses
};

}  // namespace pyro::testing
