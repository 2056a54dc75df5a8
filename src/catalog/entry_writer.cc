// One entry of a catalog file, from an Environment to JSON.
#include "catalog/entry_writer.h"

#include <nlohmann/json.hpp>

namespace pyro {
nlohmann::ordered_json write_entry(const Environment& environment) {
  nlohmann::ordered_json entry = {{"name", environment.name},
                                  {"version", environment.version},
                                  {"description", environment.description},
                                  {"default_packages", environment.default_packages},
                                  {"distribution", environment.distribution},
                                  {"distribution_version", environment.distribution_version},
                                  {"source_profile", environment.source_profile},
                                  {"platform", environment.platform},
                                  {"compatibility", environment.compatibility}};
  const auto put = [&](const char* field, const std::optional<std::string>& value) {
    if (value) entry[field] = *value;
  };
  put("oci_registry", environment.oci_registry);
  put("oci_repository", environment.oci_repository);
  put("oci_reference", environment.oci_reference);
  if (environment.oci_digest) entry["oci_digest"] = environment.oci_digest->to_string();
  put("source_url", environment.source_url);
  if (environment.source_sha256) entry["source_sha256"] = environment.source_sha256->hex();
  put("source_digest", environment.source_digest);
  return entry;
}

}  // namespace pyro
