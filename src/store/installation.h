// Installed environments in the cache and in stores.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <vector>

#include "base/files.h"
#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "store/install_record.h"
#include "store/layout.h"
#include "store/locks.h"

namespace pyro {

/// A complete install: its record has the name and version, and every required artifact is a file.
struct Installation {
  std::filesystem::path directory;
  InstallRecord record;
  bool has_initrd = false;
  /// Disk space of the artifacts in bytes; of the targets where they are links.
  std::uint64_t allocated_bytes = 0;

  [[nodiscard]] InstalledEnvironment describe() const;
};

/// The installation of the environment, or nothing; one that cannot be read counts as not
/// installed. If other users could write it, its artifacts are verified first, and when they differ
/// from the record, the record is removed: it is not installed any more.
/// @throws Error(filesystem) when its rights forbid using it
[[nodiscard]] std::optional<Installation> find_installation(const CacheLayout& layout,
                                                            const Environment& environment);

/// The same, for an open directory in the folder of installs.
[[nodiscard]] std::optional<Installation> find_installation_at(
    const CacheLayout& layout, int directory_fd, const std::filesystem::path& directory,
    const Environment& environment);

/// The saved states of `environment`, sorted by name. The name may come from a record, and be no
/// name.
[[nodiscard]] std::vector<StateUsage> usage_of_states(const CacheLayout& layout,
                                                      const std::string& environment);

/// Whether an install of that kind has to have the artifact, an index in kArtifactKinds. A
/// container has no kernel of its own.
[[nodiscard]] bool is_required(std::size_t artifact, EnvironmentKind kind);

/// Whether `source_digest` is the digest of an image, from a registry or a layout.
[[nodiscard]] bool is_image(const InstallRecord& record);

/// Whether the catalog pins an image or an archive, and `record` does not prove that the install
/// came from it: the digest differs, or the source was not hashed, as a bundle.
[[nodiscard]] bool differs_from_pin(const InstallRecord& record, const Environment& environment);

/// An install held open for reading, and locked against removal. A pull may replace the install
/// meanwhile; the open files stay as they are.
struct InstallLease {
  Installation installation;
  Fd directory = {};
  UseLock use = {};  ///< Shared.
  Fd kernel = {};    ///< Empty for a container.
  Fd rootfs = {};
  Fd initrd = {};  ///< Empty where there is none.
  // Of a container's machine: the kernel and initrd are another's (store/base_kernel.h).
  UseLock use_of_base = {};
  std::optional<BaseRecord> base = {};
};

/// Nothing when it is not installed.
/// @throws Error(filesystem) when a file cannot be opened, its rights forbid using it, or the file
/// system has no locks; Error(busy) while it is being removed.
[[nodiscard]] std::optional<InstallLease> acquire_lease(const CacheLayout& layout,
                                                        const Environment& environment);

/// The places with installs: the cache, and the stores of others, which are only read.
class Stores {
 public:
  explicit Stores(const StoreOptions& options) : Stores(options, options.on_warning) {}
  Stores(const StoreOptions& options, const Rights::Warn& warn);
  /// For doctor, which changes nothing and complains of nothing here.
  [[nodiscard]] static Stores as_they_are(const StoreOptions& options);

  [[nodiscard]] const CacheLayout& cache() const noexcept { return layouts_.front(); }
  /// Checks the rights of the cache and of all stores.
  /// @throws as CacheLayout::check_root() does
  void check_roots() const;
  /// In search order, the cache first.
  [[nodiscard]] const std::vector<CacheLayout>& all() const noexcept { return layouts_; }

  struct Found {
    const CacheLayout& layout;
    Installation installation;
  };
  /// The first install of the environment.
  /// @throws as find_installation() does
  [[nodiscard]] std::optional<Found> find(const Environment& environment) const;

  /// A lease of the install in `directory`, or of the first install.
  /// @throws as pyro::acquire_lease() does
  [[nodiscard]] std::optional<InstallLease> acquire_lease(
      const Environment& environment,
      const std::optional<std::filesystem::path>& directory = std::nullopt) const;

 private:
  Stores() = default;

  std::vector<CacheLayout> layouts_;
};

/// Compares the artifacts on disk with their recorded sizes and digests. Holes are not read.
/// `progress` may be null.
/// @throws Error(interrupted)
[[nodiscard]] VerifyReport verify_installation(const CacheLayout& layout,
                                               const Environment& environment,
                                               const std::stop_token& stop,
                                               ProgressListener* progress = nullptr);

/// Whether the artifacts in the install directory match the digests in `record`; true when it has
/// none.
/// @throws Error(filesystem)
[[nodiscard]] bool is_as_recorded(int directory, const std::filesystem::path& path,
                                  const InstallRecord& record);

/// The same for the files of a prepared state and its manifest.
[[nodiscard]] bool is_as_saved(int directory, const std::filesystem::path& path);

/// Verifies the caller's prepared states of `environment`, and adds their files to the report as
/// "prepared/<network>/memory". One that differs makes a good environment `modified`.
/// @throws Error(filesystem), (interrupted)
void verify_states(const CacheLayout& layout, const Environment& environment, VerifyReport& report,
                   const std::stop_token& stop, ProgressListener* progress = nullptr);

}  // namespace pyro
