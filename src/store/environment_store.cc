// The store: what there is, and who does what is asked for.
#include "pyro/environment_store.h"

#include <utility>

#include "source/bundle_source.h"
#include "store/installation.h"
#include "store/installer.h"
#include "store/prune.h"
#include "store/stores.h"
#include "store/verify.h"

namespace pyro {
namespace {

/// Of the first that has it. An install that may not be used is told, and keeps no other from being
/// looked at.
std::optional<Installation> find_usable(const Stores& stores, const Environment& environment) {
  for (const CacheLayout& layout : stores.all()) {
    try {
      if (auto found = find_installation(layout, environment)) return found;
    } catch (const Error& error) {
      layout.rights().warn(std::string(error.what()) + ": it counts as not installed; " +
                           error.hint());
    }
  }
  return std::nullopt;
}

void check_roots(const Stores& stores) {
  for (const CacheLayout& layout : stores.all()) layout.check_root();
}

EnvironmentStatus status_of(const Environment& environment, const Stores& stores,
                            const std::optional<RuntimeBundle>& bundle) {
  EnvironmentStatus status{.environment = environment,
                           .cache_dir = stores.cache().root(),
                           .install_dir = stores.cache().install_dir(environment)};
  if (bundle) {
    if (auto digest = bundle->digest_of(environment)) status.environment.source_digest = digest;
  }
  if (const auto installation = find_usable(stores, environment)) {
    status.install_dir = installation->directory;
    status.installed = installation->describe();
    status.installed_bytes = installation->allocated_bytes;
    status.outdated = is_outdated(installation->record, environment);
  }
  return status;
}

bool is_absent(const VerifyReport& report) {
  return report.verdict == Verdict::missing && report.artifacts.empty();
}

}  // namespace

EnvironmentStore::EnvironmentStore(StoreOptions options) : options_(std::move(options)) {}
EnvironmentStore::~EnvironmentStore() = default;
EnvironmentStore::EnvironmentStore(EnvironmentStore&&) noexcept = default;
EnvironmentStore& EnvironmentStore::operator=(EnvironmentStore&&) noexcept = default;

const StoreOptions& EnvironmentStore::options() const noexcept {
  return options_;
}

std::vector<EnvironmentStatus> EnvironmentStore::list() const {
  const Stores stores(options_);
  check_roots(stores);
  const auto bundle = RuntimeBundle::of(options_.runtime_dir);
  std::vector<EnvironmentStatus> statuses;
  for (const Environment& environment : options_.catalog.environments()) {
    statuses.push_back(status_of(environment, stores, bundle));
  }
  return statuses;
}

EnvironmentStatus EnvironmentStore::inspect(std::string_view name) const {
  const Environment& environment = options_.catalog.require(name);
  const Stores stores(options_);
  check_roots(stores);
  return status_of(environment, stores, RuntimeBundle::of(options_.runtime_dir));
}

InstalledEnvironment EnvironmentStore::ensure_installed(std::string_view name,
                                                        const PullOptions& options) {
  return install(options_, options_.catalog.require(name), options);
}

EnvironmentStatus EnvironmentStore::pull(std::string_view name, const PullOptions& options) {
  ensure_installed(name, options);
  return inspect(name);
}

VerifyReport EnvironmentStore::verify(std::string_view name, const std::stop_token& stop) const {
  const Environment& environment = options_.catalog.require(name);
  const Stores stores(options_);
  check_roots(stores);
  VerifyReport report;
  for (const CacheLayout& layout : stores.all()) {
    VerifyReport one = verify_installation(layout, environment, stop);
    if (&layout == &stores.cache() || !is_absent(one)) report = std::move(one);
    if (!is_absent(report)) break;
  }
  if (!report.artifacts.empty()) verify_states(stores.cache(), environment, report, stop);
  return report;
}

PruneReport EnvironmentStore::prune(const PruneOptions& options) {
  const Stores stores(options_);
  stores.cache().check_root();
  return prune_cache(stores, options_.catalog, options);
}

}  // namespace pyro
