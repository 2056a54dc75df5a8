// The documents of the C API that are none of the executable's.
#include "capi/documents.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace pyro::capi {
namespace {

/// With what is not public: where else it may come from, and what it must be.
Json entry_payload(const Environment& environment) {
  Json entry = cli::environment_payload(environment);
  entry["source_profile"] = environment.source_profile;
  entry["source_url"] = cli::or_null(environment.source_url);
  entry["oci_digest"] = cli::or_null(environment.oci_digest);
  entry["source_sha256"] = cli::or_null(environment.source_sha256);
  return entry;
}

}  // namespace

Json store_payload(const StoreOptions& options) {
  Json files = Json::array();
  for (const auto& file : options.catalog.files()) files.push_back(file.string());
  Json entries = Json::array();
  for (const Environment& environment : options.catalog.environments()) {
    entries.push_back(entry_payload(environment));
  }
  return {{"cache_dir", options.cache_dir.string()},
          {"runtime_dir", cli::or_null(options.runtime_dir)},
          {"catalog_version", kCatalogVersion},
          {"catalog_files", std::move(files)},
          {"environments", std::move(entries)}};
}

Json installed_payload(const InstalledEnvironment& installed) {
  return {{"name", installed.name},
          {"version", installed.version},
          {"install_dir", installed.install_dir.string()},
          {"kernel_image", installed.kernel_image.string()},
          {"rootfs_image", installed.rootfs_image.string()},
          {"initrd_image", cli::or_null(installed.initrd_image)},
          {"source", installed.source},
          {"source_digest", cli::or_null(installed.source_digest)}};
}

}  // namespace pyro::capi
