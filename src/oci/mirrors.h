// Mirrors: which hosts have an image, under which names, in which order; and which one is asked.
//
// Source: containers-registries.conf(5), version 2 of the format, "Remapping and mirroring
// registries"; containerd's docs/hosts.md for the trust in each host.
#pragma once

#include <filesystem>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "base/reference.h"
#include "net/http.h"
#include "net/resumable_body.h"
#include "net/retry.h"
#include "oci/registry_session.h"
#include "pyro/network_options.h"

namespace pyro {

/// A copy of a registry, or of a part of one.
struct MirrorRule {
  std::string
      location;  ///< "mirror.example:5000/cache": a host, with or without the front of a path.
  bool insecure = false;
  /// Resolving a tag chooses the image, so a mirror must be trusted with it explicitly, by
  /// `pull-from-mirror = "all"` or "tag-only". containers default to "all"; containerd does as we
  /// do: "resolving a tag is a trust decision".
  bool serves_tags = false;
  bool serves_digests = true;
};

/// The settings for images whose names begin with a prefix.
struct RegistryRule {
  std::string prefix;    ///< "registry.example/team", or "*.example".
  std::string location;  ///< Replaces the prefix; empty to keep it.
  bool insecure = false;
  bool blocked = false;
  std::vector<MirrorRule> mirrors = {};  ///< In the order in which they are asked.
  std::filesystem::path file = {};       ///< The file of this rule, for messages.
};

/// The rules of `files`. A file replaces the rules of earlier ones for the same prefix. All names
/// of Docker Hub become "docker.io". Short names and aliases are ignored: references are always
/// full. `note`, unless empty, is given a line about credential helpers in the files, which are not
/// used.
/// @throws Error(failed) naming file and line, without other content; also for a file of version 1,
/// whose blocked registries would not be blocked.
[[nodiscard]] std::vector<RegistryRule> load_registries(
    const std::vector<std::filesystem::path>& files,
    const std::function<void(std::string_view line)>& note = {});

/// "docker.io" for all names of Docker Hub; else `host`.
[[nodiscard]] std::string canonical_registry(const std::string& host);

/// The rule with the longest prefix of `name`, a registry or an image in it; null without one.
/// @throws Error(network) when it blocks the registry.
[[nodiscard]] const RegistryRule* find_rule(std::string_view name,
                                            const std::vector<RegistryRule>& rules);

/// The mirrors of `image` in their order, and last its registry.
/// @throws Error(network) when its registry is blocked; (failed) when a rule makes an invalid name
/// of it.
[[nodiscard]] std::vector<Endpoint> endpoints_of(const ImageReference& image,
                                                 const std::vector<RegistryRule>& rules);

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
