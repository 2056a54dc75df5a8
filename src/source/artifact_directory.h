// An environment that lies unpacked in a directory: vmlinux and rootfs.ext4, and perhaps an
// initrd.img.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <vector>

#include "pyro/catalog.h"
#include "pyro/limits.h"
#include "stream/artifacts.h"

namespace pyro {

/// Whether `path` is a regular file, or a link to one.
[[nodiscard]] bool is_file(const std::filesystem::path& path);

/// Whether every required artifact is a regular file in `directory`.
[[nodiscard]] bool holds_artifacts(const std::filesystem::path& directory);

/// The directory that the catalog names as the source, if that is one.
[[nodiscard]] std::optional<std::filesystem::path> source_directory(const Environment& environment);

/// Copies the artifacts of `directory` into the directory `staging` is open on, durably: shared
/// extents where the file system can, else holes kept. They are told with the digests of the
/// copies. `room` is on the file system of `staging`.
/// @throws Error(integrity) for what is missing or too large; (filesystem); (interrupted)
[[nodiscard]] std::vector<WrittenArtifact> copy_artifacts(const std::filesystem::path& directory,
                                                          int staging,
                                                          const std::filesystem::path& room,
                                                          const ExtractionLimits& limits,
                                                          const std::stop_token& stop);

}  // namespace pyro
