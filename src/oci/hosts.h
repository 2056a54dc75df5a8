// The hosts that one image is asked of, one after the other.
//
// Source: spec section 6; containers-registries.conf(5) for the order. Whom to trust with what:
// containerd's docs/hosts.md.
#pragma once

#include <functional>
#include <list>
#include <set>
#include <string>
#include <vector>

#include "net/http.h"
#include "net/retry.h"
#include "oci/endpoints.h"
#include "oci/registry_session.h"
#include "pyro/network_options.h"

namespace pyro {

/// What becomes of the hosts, for whoever follows a pull. Lines are told without an end.
struct HostWatch {
  /// Mirrors that have failed, by host and repository: they are not asked again. Not owned, so that
  /// it can outlive a restart; may be null.
  std::set<std::string>* left = nullptr;
  std::function<void(std::string_view line)> warn = {};
  std::function<void(std::string_view line)> note = {};
};

/// What people are told of a host whose certificate is not looked at.
[[nodiscard]] std::string insecure_warning(const std::string& host);

/// A host with what is known of it so far.
struct Host {
  Endpoint endpoint;
  RegistrySession session;
  RetryOptions retry;
  bool is_introduced = false;
};

class Hosts {
 public:
  enum class By {
    tag,     ///< Only who is trusted with the choice is asked.
    digest,  ///< What comes is checked.
  };

  /// `endpoints` as endpoints_of() gives them; `http` must outlive it.
  Hosts(HttpClient& http, const std::vector<Endpoint>& endpoints, const NetworkOptions& options,
        const RetryOptions& retry, HostWatch watch);
  Hosts(const Hosts&) = delete;
  Hosts& operator=(const Hosts&) = delete;

  /// `work(host)` with the first host that serves `by`. Where that is a mirror and fails, it is
  /// left behind and the next is tried, if `can_go_on(error)`.
  template <typename Work, typename CanGoOn>
  auto ask(By by, const Work& work, const CanGoOn& can_go_on) {
    while (true) {
      Host& host = choose(by);
      try {
        return work(host);
      } catch (const Error& error) {
        if (!can_go_on(error) || !leave(host, error)) throw;
      }
    }
  }

  template <typename Work>
  auto ask(By by, const Work& work) {
    return ask(by, work, [](const Error&) { return true; });
  }

  /// No more of that host, because of `why`; false where it is no mirror, was left before, or is
  /// not to blame.
  bool leave(const Host& host, const Error& why);

 private:
  Host& choose(By by);
  void introduce(Host& host);

  std::list<Host> hosts_;  // mirrors, and last the registry itself
  std::set<std::string> own_left_;
  HostWatch watch_;
};

}  // namespace pyro
