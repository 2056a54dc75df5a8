// Catalog files.
#include <set>

#include "base/reference.h"
#include "catalog/catalog.h"
#include "catalog/entry.h"
#include "catalog/names.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

/// Fields that become part of a path or URL are one component, or match the grammar of registries.
void check(const Environment& environment) {
  require(is_environment_name(environment.name), "names are names");
  require(is_version(environment.version), "versions are versions");
  require(is_source_profile(environment.source_profile), "profiles are names of folders");
  require(environment.platform == kPlatform, "there is one platform");
  const std::string directory = install_directory_name(environment);
  require(directory.find('/') == directory.npos && !directory.starts_with('.') &&
              directory.size() <= 200,
          "an install directory is one component");
  require(!environment.oci_registry || is_oci_registry(*environment.oci_registry), "registry");
  require(!environment.oci_repository || is_oci_repository(*environment.oci_repository),
          "repository");
  require(!environment.oci_reference || is_oci_reference(*environment.oci_reference), "reference");
  require(!environment.oci_digest || (environment.oci_registry && environment.oci_repository),
          "a pin pins something");
  require(!environment.source_sha256 || environment.source_url, "a checksum is of something");
  require(!environment.source_url || !environment.source_url->empty(), "a source is somewhere");
  (void)environment.compatible();
}

/// An exported entry can be read on another machine, and names no path of this one.
void check_portable(const Environment& environment) {
  const std::string text = write_portable_entry(environment);
  const auto readable = [&] { (void)read_portable_entry(text, "/etc/pyro/catalog.json"); };
  if (!accepts(ErrorCode::integrity, readable)) {
    require(text.size() > 65536, "an entry that was written can be read");
    return;
  }
  const Environment read = read_portable_entry(text, "/etc/pyro/catalog.json");
  require(read.name == environment.name && read.version == environment.version &&
              read.description == environment.description &&
              read.default_packages == environment.default_packages,
          "... and is of the same environment");
  require(!read.oci_digest && !read.source_sha256, "no pin is held against an export");
  require(!read.source_url || read.source_url->starts_with("https://"), "no path goes along");
  require(write_portable_entry(read) == text, "... and is written the same");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  std::vector<Environment> environments;
  const bool accepted = fuzz::accepts(ErrorCode::failed, [&] {
    environments = parse_catalog(fuzz::as_text(data, size), "/etc/pyro/catalog.json");
  });
  if (!accepted) return 0;
  std::set<std::string> names;
  for (const Environment& environment : environments) {
    fuzz::check(environment);
    fuzz::check_portable(environment);
    fuzz::require(names.insert(environment.name).second, "a name is given once");
  }
  return 0;
}
