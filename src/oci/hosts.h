// Requests to the hosts that have an image: its mirrors in their order, then its registry.
//
// Source: containers-registries.conf(5) for the order; containerd's docs/hosts.md for the
// trust in each host.
#pragma once

#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "net/http.h"
#include "net/retry.h"
#include "net/url.h"
#include "oci/auth.h"
#include "oci/mirrors.h"
#include "pyro/network_options.h"

namespace pyro {

/// Requests to one repository on one host: finds the scheme, authenticates, follows redirects.
class RegistrySession {
 public:
  /// `http` must outlive it.
  RegistrySession(HttpClient& http, const Endpoint& endpoint, const NetworkOptions& options,
                  CredentialSources sources);
  /// To the registry itself, with these credentials only; `target` has no repository.
  RegistrySession(HttpClient& http, const Authenticator::Target& target,
                  const NetworkOptions& options, const Credentials& credentials);

  /// GETs `path` below /v2/<repository>/, or below /v2/ of the registry itself; sets the URL of
  /// `request`. Answers a 401 once per call, so that a token that expires during a pull is renewed.
  /// Always begins at the registry: the target of an earlier redirect may have expired.
  /// @throws Error(network) for a second 401; and exceptions of follow().
  HttpResponse get(const std::string& path, const HttpRequest& request, const BodySink& sink);

  /// Whether the registry, or its token server, has seen credentials.
  [[nodiscard]] bool sent_credentials() const noexcept { return auth_.sent_credentials(); }

  /// The sender of `response`, for messages: "the registry", "the mirror HOST", or the host that it
  /// redirected to.
  [[nodiscard]] std::string speaker(const HttpResponse& response) const;

 private:
  HttpResponse send(const std::string& path, const HttpRequest& request, const BodySink& sink);
  HttpResponse send_now(const std::string& path, HttpRequest request, const BodySink& sink);
  void set_target(HttpRequest& request, std::string path) const;
  [[nodiscard]] bool is_own(const HttpResponse& response) const;
  [[nodiscard]] HttpResponse ask_for_challenge(HttpResponse response);

  HttpClient& http_;
  std::string name_;
  std::string base_path_;
  bool insecure_ = false;
  bool is_mirror_ = false;
  std::string upstream_;
  Url registry_;
  bool is_scheme_known_ = false;
  Authenticator auth_;
};

/// Where Hosts keeps its state between attempts, and reports. Lines have no end of line.
struct HostWatch {
  /// Null for one of its own; else it must outlive the hosts.
  PullSession* session = nullptr;
  std::function<void(std::string_view line)> warn = {};
  std::function<void(std::string_view line)> note = {};
};

/// The warning about a host whose certificate is not verified.
[[nodiscard]] std::string insecure_warning(const std::string& host);

struct Host {
  Endpoint endpoint;
  RegistrySession session;
  RetryOptions retry;
  bool is_announced = false;
};

class Hosts {
 public:
  enum class By {
    tag,     ///< Asks only hosts that are trusted to resolve tags.
    digest,  ///< Asks any host: the content is verified.
  };

  /// `endpoints` as endpoints_of() returns them; `http` must outlive it.
  Hosts(HttpClient& http, const std::vector<Endpoint>& endpoints, const NetworkOptions& options,
        const RetryOptions& retry, HostWatch watch);
  Hosts(const Hosts&) = delete;
  Hosts& operator=(const Hosts&) = delete;

  /// `work(host)` with the first host that serves `by` and has not failed. When a mirror fails, the
  /// next host is asked, if `can_go_on(error)`.
  template <typename Work, typename CanGoOn>
  auto ask(By by, const Work& work, const CanGoOn& can_go_on) {
    while (true) {
      Host& host = choose(by);
      try {
        return work(host);
      } catch (const Error& error) {
        if (!can_go_on(error) || !mark_failed(host, error)) throw;
      }
    }
  }

  template <typename Work>
  auto ask(By by, const Work& work) {
    return ask(by, work, [](const Error&) { return true; });
  }

  /// Excludes a mirror from this pull. Returns false if `host` is no mirror, is excluded already,
  /// or did not cause `why`.
  bool mark_failed(const Host& host, const Error& why);

  [[nodiscard]] PullSession& session() noexcept { return *watch_.session; }

 private:
  Host& choose(By by);
  void announce(const Host& host) const;

  std::list<Host> hosts_;  // mirrors, and last the registry itself
  PullSession own_session_;
  HostWatch watch_;
};

}  // namespace pyro
