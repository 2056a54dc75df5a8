// Whether registries have newer images than those that are installed.
#include "pyro/updates.h"

#include <utility>

#include "source/oci_source.h"
#include "source/oci_updates.h"
#include "store/installation.h"

namespace pyro {
namespace {

std::optional<PulledImage> pulled_image(const InstallRecord& record) {
  if (!record.source.starts_with("oci://")) return std::nullopt;
  const auto digest = Digest::parse(record.source_digest.value_or(""));
  if (!digest) return std::nullopt;
  return PulledImage{*digest, record.oci_digest};
}

UpdateStatus check(EnvironmentStatus status, ImageLookup& lookup) {
  UpdateStatus update{.status = std::move(status)};
  const Environment& environment = update.status.environment;
  const auto installation = find_installation(update.status.install_dir, environment);
  const auto pulled = installation ? pulled_image(installation->record) : std::nullopt;
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
