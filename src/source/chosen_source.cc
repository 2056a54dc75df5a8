// Which of its sources an environment is installed from.
#include "source/chosen_source.h"

#include <utility>

#include "pyro/error.h"
#include "source/artifact_directory.h"
#include "source/oci_source.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

std::optional<BundledProfile> bundled_profile(const std::optional<fs::path>& runtime_dir,
                                              const Environment& environment) {
  auto bundle = RuntimeBundle::of(runtime_dir);
  if (!bundle) return std::nullopt;
  auto directory = bundle->find(environment);
  if (!directory) return std::nullopt;
  return BundledProfile{.bundle = std::move(*bundle), .directory = std::move(*directory)};
}

[[noreturn]] void refuse_unproven(const Environment& environment, const std::string& what) {
  const std::string pinned = environment.oci_digest ? "an image" : "an archive";
  throw Error(ErrorCode::integrity, "the catalog pins " + pinned + ", and " + what,
              "without the pin ('oci_digest', 'source_sha256') the entry can be installed from it");
}

/// Of an archive alone: an image proves the pin of an image, and nothing else.
bool pins_archive_only(const Environment& environment) {
  return environment.source_sha256 && !environment.oci_digest;
}

std::optional<ChosenSource> behind_url(const Environment& environment) {
  if (const auto directory = source_directory(environment)) {
    if (is_pinned(environment)) {
      refuse_unproven(environment, directory->string() + " is a directory");
    }
    return ArtifactDirectory{*directory};
  }
  if (auto image = layout_source(environment)) return std::move(*image);
  if (is_pinned(environment) && !environment.source_sha256) {
    refuse_unproven(environment, "'source_url' names an archive");
  }
  return SourceArchive{};
}

}  // namespace

bool is_pinned(const Environment& environment) {
  return environment.source_sha256 || environment.oci_digest;
}

std::optional<ChosenSource> choose_source(const std::optional<fs::path>& runtime_dir,
                                          const Environment& environment,
                                          ProgressListener& progress) {
  if (auto profile = bundled_profile(runtime_dir, environment)) {
    if (!is_pinned(environment)) return std::move(*profile);
    progress.warning("the runtime bundle " + runtime_dir->string() +
                     " is passed over: it cannot prove that it holds what the catalog pins");
  }
  if (has_oci_source(environment) && !pins_archive_only(environment)) return RegistryImage{};
  if (environment.source_url) return behind_url(environment);
  return std::nullopt;
}

}  // namespace pyro
