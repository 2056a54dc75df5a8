// The hosts that one image is asked of, one after the other.
#include "oci/hosts.h"

#include <algorithm>
#include <utility>

#include "oci/registry_error.h"

namespace pyro {
namespace {

/// Several mirrors may be one host's: "cache.example/hub/team/env", "cache.example/ours/team/env".
std::string place_of(const Endpoint& endpoint) {
  return endpoint.image.registry() + "/" + endpoint.image.repository();
}

/// There is another host to go on with: waiting for this one would only cost time.
RetryOptions impatient(RetryOptions retry) {
  retry.retries = std::min(retry.retries, 1);
  retry.progress_counts = false;
  retry.longest_retry_after = std::chrono::seconds(1);
  return retry;
}

}  // namespace

std::string insecure_warning(const std::string& host) {
  return "nobody checks that " + host + " is who it says: registries.conf calls it insecure";
}

Hosts::Hosts(HttpClient& http, const std::vector<Endpoint>& endpoints,
             const NetworkOptions& options, const RetryOptions& retry, HostWatch watch)
    : watch_(std::move(watch)) {
  if (watch_.left == nullptr) watch_.left = &own_left_;
  const CredentialSources sources = credential_sources(options, retry.stop, watch_.warn);
  for (const Endpoint& endpoint : endpoints) {
    hosts_.push_back({.endpoint = endpoint,
                      .session = RegistrySession(http, endpoint, options, sources),
                      .retry = endpoint.is_mirror ? impatient(retry) : retry});
  }
}

Host& Hosts::choose(By by) {
  const auto serves = [&](const Host& host) {
    const Endpoint& endpoint = host.endpoint;
    return (by == By::tag ? endpoint.serves_tags : endpoint.serves_digests) &&
           !(endpoint.is_mirror && watch_.left->contains(place_of(endpoint)));
  };
  const auto found = std::ranges::find_if(hosts_, serves);
  Host& host = found == hosts_.end() ? hosts_.back() : *found;
  if (!std::exchange(host.is_introduced, true)) introduce(host);
  return host;
}

void Hosts::introduce(Host& host) {
  const std::string& name = host.endpoint.image.registry();
  if (host.endpoint.is_mirror && watch_.note) watch_.note("asking the mirror " + name);
  if (host.endpoint.insecure && watch_.warn) {
    watch_.warn(insecure_warning(name));
  }
}

bool Hosts::leave(const Host& host, const Error& why) {
  // Its credentials or certificates may be what cannot be used; where it is more, the next host
  // says so, too.
  const bool is_its_fault = why.code() == ErrorCode::network ||
                            why.code() == ErrorCode::integrity || why.code() == ErrorCode::failed;
  if (!host.endpoint.is_mirror || !is_its_fault) return false;
  if (!watch_.left->insert(place_of(host.endpoint)).second) return false;
  const std::string line =
      "going on without the mirror " + host.endpoint.image.registry() + ": " + why.what();
  // Having nothing of an image is no fault of a mirror.
  const auto& tell = dynamic_cast<const NotThere*>(&why) != nullptr ? watch_.note : watch_.warn;
  if (tell) tell(line);
  return true;
}

}  // namespace pyro
