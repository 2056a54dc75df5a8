// Whether an environment is installed, and what stands there (spec section 4, "Installed means").
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "store/install_record.h"
#include "store/layout.h"

namespace pyro {

/// A complete install: its record is of this name and version, every required artifact is a file.
struct Installation {
  std::filesystem::path directory;
  InstallRecord record;
  bool has_initrd = false;
  /// Disk space of the artifacts in bytes; of the targets where they are links.
  std::uint64_t allocated_bytes = 0;

  [[nodiscard]] InstalledEnvironment describe() const;
};

/// The installation of the environment in the cache, or nothing: what cannot be read is not
/// installed. What others could write is read again, and counts as not installed from then on where
/// it is not what was recorded.
/// @throws Error(filesystem) for one that may not be used
[[nodiscard]] std::optional<Installation> find_installation(const CacheLayout& layout,
                                                            const Environment& environment);

/// The same, for a directory of the platform folder that is open.
[[nodiscard]] std::optional<Installation> find_installation_at(
    const CacheLayout& layout, int directory_fd, const std::filesystem::path& directory,
    const std::string& name, const std::string& version);

/// Disk space of the saved states of machines of the environment that `record` is of.
[[nodiscard]] std::uint64_t prepared_bytes(const CacheLayout& layout, const InstallRecord& record);

/// Whether its `source_digest` is that of an image, from a registry or a layout.
[[nodiscard]] bool is_image(const InstallRecord& record);

/// Whether the catalog pins an image or an archive, and `record` does not prove that the install
/// came from it: it has another digest, or is of a kind that proves nothing, as a bundle.
[[nodiscard]] bool is_outdated(const InstallRecord& record, const Environment& environment);

}  // namespace pyro
