// The documents of the C API that are none of the executable's.
#include "capi/documents.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace pyro::capi {
namespace {

Json or_null(const std::optional<std::string>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json or_null(const std::optional<std::filesystem::path>& path) {
  return path ? Json(path->string()) : Json(nullptr);
}

Json or_null(const std::optional<Digest>& digest) {
  return digest ? Json(digest->to_string()) : Json(nullptr);
}

Json entry_payload(const Environment& environment) {
  return {{"name", environment.name},
          {"version", environment.version},
          {"description", environment.description},
          {"default_packages", environment.default_packages},
          {"distribution", environment.distribution},
          {"distribution_version", environment.distribution_version},
          {"source_profile", environment.source_profile},
          {"platform", environment.platform},
          {"source_url", or_null(environment.source_url)},
          {"oci_registry", or_null(environment.oci_registry)},
          {"oci_repository", or_null(environment.oci_repository)},
          {"oci_reference", or_null(environment.oci_reference)},
          {"source_digest", or_null(environment.source_digest)},
          {"compatibility", environment.compatibility},
          {"oci_digest", or_null(environment.oci_digest)},
          {"source_sha256", or_null(environment.source_sha256)}};
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
          {"runtime_dir", or_null(options.runtime_dir)},
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
          {"initrd_image", or_null(installed.initrd_image)},
          {"source", installed.source},
          {"source_digest", or_null(installed.source_digest)}};
}

}  // namespace pyro::capi
