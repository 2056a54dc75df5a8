// Which of its sources an environment is installed from, decided once.
#pragma once

#include <filesystem>
#include <optional>
#include <variant>

#include "pyro/catalog.h"
#include "pyro/progress.h"
#include "source/bundle_source.h"
#include "source/layout_source.h"

namespace pyro {

/// A profile of the runtime bundle, with both artifacts.
struct BundledProfile {
  RuntimeBundle bundle;
  std::filesystem::path directory;
};
/// The image that the entry names in a registry.
struct RegistryImage {};
/// Where the artifacts lie unpacked.
struct ArtifactDirectory {
  std::filesystem::path path;
};
/// The archive at the entry's `source_url`.
struct SourceArchive {};

using ChosenSource =
    std::variant<BundledProfile, RegistryImage, ArtifactDirectory, LayoutImage, SourceArchive>;

/// The first source of `environment` that there is: the runtime bundle, a registry, `source_url`.
/// With a pin the first that can prove it: a bundle is passed over with a warning. Nothing where
/// there is none.
/// @throws Error(failed) for a bundle of another platform; (integrity) when nothing there is can
/// prove the pin.
[[nodiscard]] std::optional<ChosenSource> choose_source(
    const std::optional<std::filesystem::path>& runtime_dir, const Environment& environment,
    ProgressListener& progress);

/// Whether the catalog says which image or archive it must be.
[[nodiscard]] bool is_pinned(const Environment& environment);

}  // namespace pyro
