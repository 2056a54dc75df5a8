// The store: status of environments, pulls, and updates.
#include "pyro/environment_store.h"

#include <utility>

#include "pyro/user_catalog.h"
#include "source/directory_source.h"
#include "source/image_source.h"
#include "store/base_kernel.h"
#include "store/installation.h"
#include "store/installer.h"

namespace pyro {
namespace {

/// The first usable install. One with wrong rights gets a warning, and the search goes on.
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

EnvironmentStatus status_of(const Environment& environment, const Stores& stores, Bases& bases,
                            const std::optional<RuntimeBundle>& bundle) {
  EnvironmentStatus status{.environment = environment,
                           .cache_dir = stores.cache().root(),
                           .install_dir = stores.cache().install_dir(environment)};
  if (bundle) {
    if (auto digest = bundle->digest_of(environment)) status.environment.source_digest = digest;
  }
  if (environment.kind == EnvironmentKind::container) status.base = bases.name_for(environment);
  if (const auto installation = find_usable(stores, environment)) {
    status.install_dir = installation->directory;
    status.installed = installation->describe();
    status.installed_bytes = installation->allocated_bytes;
    status.outdated = differs_from_pin(installation->record, environment);
  }
  return status;
}

std::optional<PulledImage> pulled_image(const InstalledEnvironment& installed) {
  if (!installed.source.starts_with("oci://")) return std::nullopt;
  const auto digest = Digest::parse(installed.source_digest.value_or(""));
  if (!digest) return std::nullopt;
  return PulledImage{*digest, installed.index_digest};
}

UpdateStatus check(EnvironmentStatus status, ImageLookup& lookup, ProgressListener* progress) {
  UpdateStatus update{.status = std::move(status)};
  const Environment& environment = update.status.environment;
  const auto pulled = pulled_image(*update.status.installed);
  if (!pulled) return update;
  update.installed_digest = pulled->index ? pulled->index : pulled->manifest;
  if (!environment.registry) return update;
  const RunningOperation operation(progress, {.name = "checking", .subject = environment.name});
  try {
    const NewestImage newest = lookup.find(*environment.registry, *pulled);
    update.newest_digest = newest.digest;
    update.newer_available = newest.is_newer;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    update.error = error;
  }
  return update;
}

}  // namespace

std::vector<EnvironmentStatus> EnvironmentStore::list() const {
  const Stores stores(options_);
  stores.check_roots();
  const auto bundle = RuntimeBundle::of(options_.runtime_dir);
  Bases bases(options_, stores);
  std::vector<EnvironmentStatus> statuses;
  for (const Environment& environment : options_.catalog.environments()) {
    statuses.push_back(status_of(environment, stores, bases, bundle));
  }
  return statuses;
}

EnvironmentStatus EnvironmentStore::inspect(std::string_view name) const {
  const Environment& environment = options_.catalog.require(name);
  const Stores stores(options_);
  stores.check_roots();
  Bases bases(options_, stores);
  EnvironmentStatus status =
      status_of(environment, stores, bases, RuntimeBundle::of(options_.runtime_dir));
  if (status.installed) status.states = usage_of_states(stores.cache(), environment.name);
  return status;
}

InstalledEnvironment EnvironmentStore::ensure_installed(std::string_view name,
                                                        const PullOptions& options) {
  return install(options_, options_.catalog.require(name), options);
}

EnvironmentStatus EnvironmentStore::pull(std::string_view name, const PullOptions& options) {
  install(options_, options_.catalog.require(name), options);
  return inspect(name);
}

Environment EnvironmentStore::add_from(int descriptor, const NewEnvironment& environment,
                                       const UserCatalog& catalog, const PullOptions& options,
                                       const std::optional<ContainerConfig>& config) {
  const Environment entry = catalog.check(environment, options_.catalog, options.stop);
  install(options_, entry,
          {.mode = PullMode::force, .progress = options.progress, .stop = options.stop},
          OpenStream{.descriptor = descriptor, .sha256 = entry.source_sha256, .config = config});
  return catalog.add(environment, options_.catalog, options.stop);
}

std::vector<UpdateStatus> EnvironmentStore::updates(const std::stop_token& stop,
                                                    ProgressListener* progress) const {
  ImageLookup lookup(options_.network, stop, progress);
  std::vector<UpdateStatus> updates;
  for (EnvironmentStatus& status : list()) {
    if (status.installed) updates.push_back(check(std::move(status), lookup, progress));
  }
  return updates;
}

}  // namespace pyro
