// Whether registries have newer images than those that are installed.
#include <utility>

#include "pyro/environment_store.h"
#include "source/oci_source.h"
#include "source/oci_updates.h"

namespace pyro {
namespace {

std::optional<PulledImage> pulled_image(const InstalledEnvironment& installed) {
  if (!installed.source.starts_with("oci://")) return std::nullopt;
  const auto digest = Digest::parse(installed.source_digest.value_or(""));
  if (!digest) return std::nullopt;
  return PulledImage{*digest, installed.index_digest};
}

UpdateStatus check(EnvironmentStatus status, ImageLookup& lookup) {
  UpdateStatus update{.status = std::move(status)};
  const Environment& environment = update.status.environment;
  const auto pulled = pulled_image(*update.status.installed);
  if (!pulled) return update;
  update.installed_digest = pulled->index ? pulled->index : pulled->manifest;
  if (!has_oci_source(environment)) return update;
  try {
    const NewestImage newest = lookup.find(environment, *pulled);
    update.newest_digest = newest.digest;
    update.newer_available = newest.is_newer;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    update.error = error;
  }
  return update;
}

}  // namespace

std::vector<UpdateStatus> find_updates(const EnvironmentStore& store, const std::stop_token& stop,
                                       ProgressListener* progress) {
  ImageLookup lookup(store.options().network, stop, progress);
  std::vector<UpdateStatus> updates;
  for (EnvironmentStatus& status : store.list()) {
    if (status.installed) updates.push_back(check(std::move(status), lookup));
  }
  return updates;
}

}  // namespace pyro
