// The store: what there is, and who does what is asked for.
#include "pyro/environment_store.h"

#include <utility>

#include "source/bundle_source.h"
#include "store/installation.h"
#include "store/installer.h"
#include "store/layout.h"
#include "store/prune.h"
#include "store/verify.h"

namespace pyro {
namespace {

/// One that may not be used is told, and keeps no other from being looked at.
std::optional<Installation> find_usable(const CacheLayout& layout,
                                        const Environment& environment) try {
  return find_installation(layout, environment);
} catch (const Error& error) {
  layout.rights().warn(std::string(error.what()) + ": it counts as not installed; " + error.hint());
  return std::nullopt;
}

EnvironmentStatus status_of(const Environment& environment, const CacheLayout& layout,
                            const std::optional<RuntimeBundle>& bundle) {
  EnvironmentStatus status{.environment = environment,
                           .cache_dir = layout.root(),
                           .install_dir = layout.install_dir(environment)};
  if (bundle) {
    if (auto digest = bundle->digest_of(environment)) status.environment.source_digest = digest;
  }
  if (const auto installation = find_usable(layout, environment)) {
    status.installed = installation->describe();
    status.installed_bytes = installation->allocated_bytes;
    status.outdated = is_outdated(installation->record, environment);
  }
  return status;
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
  const CacheLayout layout(options_.cache_dir, options_.on_warning);
  layout.check_root();
  const auto bundle = RuntimeBundle::of(options_);
  std::vector<EnvironmentStatus> statuses;
  for (const Environment& environment : options_.catalog.environments()) {
    statuses.push_back(status_of(environment, layout, bundle));
  }
  return statuses;
}

EnvironmentStatus EnvironmentStore::inspect(std::string_view name) const {
  const Environment& environment = options_.catalog.require(name);
  const CacheLayout layout(options_.cache_dir, options_.on_warning);
  layout.check_root();
  return status_of(environment, layout, RuntimeBundle::of(options_));
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
  const CacheLayout layout(options_.cache_dir, options_.on_warning);
  layout.check_root();
  VerifyReport report = verify_installation(layout, environment, stop);
  if (!report.artifacts.empty()) verify_states(layout, environment, report, stop);
  return report;
}

PruneReport EnvironmentStore::prune(const PruneOptions& options) {
  const CacheLayout layout(options_.cache_dir, options_.on_warning);
  layout.check_root();
  return prune_cache(layout, options_.catalog, options);
}

}  // namespace pyro
