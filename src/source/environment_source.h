// The source of an environment: as a person names it, and as an install chooses it.
#pragma once

#include <filesystem>
#include <optional>
#include <variant>

#include "pyro/catalog.h"
#include "pyro/progress.h"
#include "source/archive_source.h"
#include "source/directory_source.h"
#include "source/image_source.h"
#include "source/package_source.h"

namespace pyro {

/// A complete profile of the runtime bundle.
struct BundledProfile {
  RuntimeBundle bundle;
  std::filesystem::path directory;
};
/// A directory of unpacked artifacts.
struct ArtifactDirectory {
  std::filesystem::path path;
};

using ChosenSource = std::variant<BundledProfile, RegistrySource, ArtifactDirectory, LayoutImage,
                                  WebSource, PathSource, OpenStream, PackageSource>;

/// The first source of `environment`: the runtime bundle, a registry, a URL or path. With a pin,
/// the first source that can prove it: a bundle is skipped with a warning. Nothing without a
/// source, and for one that was standard input.
/// @throws Error(failed) for a bundle of another platform; (integrity) when no source can prove the
/// pin.
[[nodiscard]] std::optional<ChosenSource> choose_source(
    const std::optional<std::filesystem::path>& runtime_dir, const Environment& environment,
    ProgressListener& progress);

/// Whether the catalog has the digest of the image or archive.
[[nodiscard]] bool is_pinned(const Environment& environment);

}  // namespace pyro
