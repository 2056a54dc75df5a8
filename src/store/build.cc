// Builds environments of Debian's packages.
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "base/directories.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "catalog/catalog.h"
#include "pyro/environment_store.h"
#include "pyro/user_catalog.h"
#include "source/package_source.h"
#include "store/installer.h"

namespace pyro {
namespace {

std::filesystem::path find_mmdebstrap() {
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): see the header.
  auto program = find_program(path == nullptr ? "" : path, "mmdebstrap");
  if (!program.empty()) return program;
  throw Error(ErrorCode::failed, "there is no mmdebstrap in the directories of $PATH",
              "install it (apt install mmdebstrap)");
}

/// The entry without a source: what was built cannot be pulled. Of `known`, which may be null, it
/// keeps what a build does not change.
Environment entry_for(const std::string& name, const PackageSource& source,
                      const Environment* known) {
  Environment entry;
  entry.name = name;
  entry.version = "1.0.0";
  entry.description = "Built with 'pyro env build'.";
  entry.default_packages = source.packages;
  entry.distribution = "debian";
  entry.distribution_version = source.suite;
  entry.source_profile = to_lower(name);
  std::ranges::replace_if(
      entry.source_profile, [](char c) { return is_one_of(c, "_:"); }, '-');
  if (known == nullptr || known->kind != EnvironmentKind::environment) return entry;
  entry.version = known->version;
  entry.description = known->description;
  entry.source_profile = known->source_profile;
  if (source.suite == BuildOptions().suite && known->distribution == entry.distribution) {
    entry.distribution_version = known->distribution_version;
  }
  return entry;
}

std::vector<std::string> packages_for(const Environment* known) {
  if (known != nullptr && !known->default_packages.empty()) return known->default_packages;
  return {"bash", "coreutils"};
}

}  // namespace

EnvironmentStatus EnvironmentStore::build(const std::string& name, const BuildOptions& options) {
  const Environment* const known = options_.catalog.find(name);
  PackageSource source{.mmdebstrap = find_mmdebstrap(),
                       .suite = options.suite,
                       .packages = options.packages,
                       .size = options.size};
  if (source.packages.empty()) source.packages = packages_for(known);
  check_packages(source);
  make_directories(options.user_catalog.parent_path());
  const UserCatalog user(stable_path(options.user_catalog));
  Environment entry = entry_for(name, source, known);
  entry.catalog_file = user.file();
  // Fails before anything is built.
  user.require_replaceable(name, options_.catalog);
  StoreOptions stored = with_entry(options_, entry);
  stored.limits.rootfs_bytes = std::max(stored.limits.rootfs_bytes, options.size);
  install(stored, entry,
          {.mode = PullMode::force, .progress = options.progress, .stop = options.stop},
          std::move(source));
  user.add_entry(entry, options_.catalog, options.stop, /*replace=*/true);
  return EnvironmentStore(stored).inspect(name);
}

}  // namespace pyro
