// The store: from the name of an environment to a bootable kernel and root file system on disk.
//
// Source: spec sections 4 to 8.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pyro/catalog.h"
#include "pyro/digest.h"
#include "pyro/error.h"
#include "pyro/image_layout.h"
#include "pyro/limits.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"

namespace pyro {

struct StoreOptions {
  /// Created by the first pull.
  std::filesystem::path cache_dir;
  Catalog catalog = Catalog::built_in();
  /// Caches of others that are searched after the own cache, in this order: their installs count as
  /// installed. They must belong to root or the caller, and be writable by nobody else. Nothing is
  /// written to them, not even a lock. A missing or unreadable one counts as empty.
  std::vector<std::filesystem::path> stores = {};
  /// A runtime bundle: `manifest.json` and `profiles/<source profile>/{vmlinux,rootfs.ext4}`.
  std::optional<std::filesystem::path> runtime_dir;
  NetworkOptions network;
  ExtractionLimits limits;
  /// How long to wait for another pull of the same environment; without a value, without limit.
  std::optional<std::chrono::milliseconds> lock_timeout;
  /// The pyro executable, started for each pull to extract untrusted archives in a sandbox. Empty:
  /// the one that was installed with this library.
  std::filesystem::path extractor = {};
  /// Called with warnings of one line where there is no ProgressListener, as that write permission
  /// of others was removed.
  std::function<void(std::string_view)> on_warning = {};
};

/// The files of an installed environment, and where they came from.
struct InstalledEnvironment {
  std::string name;
  std::string version;
  std::filesystem::path install_dir;
  std::filesystem::path kernel_image;
  std::filesystem::path rootfs_image;
  std::optional<std::filesystem::path> initrd_image;
  /// `oci://registry/repository@digest`, `bundled-runtime-source`, an archive's or layout's URL.
  std::string source;
  std::optional<std::string> source_digest;
  /// Of the image index, where there was one.
  std::optional<Digest> index_digest = {};
};

/// The status of one environment.
struct EnvironmentStatus {
  Environment environment;
  std::filesystem::path cache_dir;
  /// In the cache or a store; where it would be installed if it is not.
  std::filesystem::path install_dir;
  /// Set when a complete install of this name and version is there.
  std::optional<InstalledEnvironment> installed = {};
  /// Disk space of the artifacts in bytes, or of their targets where they are links. Set when
  /// installed.
  std::optional<std::uint64_t> installed_bytes = {};
  /// Installed, but not the pinned image: the next pull replaces it.
  bool outdated = false;
};

enum class PullMode {
  ensure,  ///< Nothing to do when it is installed.
  repair,  ///< Replace it when its artifacts were modified.
  force,   ///< Download and replace it.
};

struct PullOptions {
  PullMode mode = PullMode::ensure;
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Ends the pull with Error(interrupted), and leaves the cache as it was.
  std::stop_token stop;
};

/// The result of comparing files with what was installed.
enum class Verdict {
  ok,
  modified,      ///< A size or digest differs.
  missing,       ///< An artifact or the whole environment.
  unverifiable,  ///< No digests were recorded: installs of the Python reference, bundles.
};

/// "ok", "modified", "missing", "unverifiable".
[[nodiscard]] std::string_view to_string(Verdict verdict) noexcept;

struct ArtifactReport {
  std::string name;  ///< "rootfs.ext4"; of a prepared state "prepared/<network>/memory".
  Verdict verdict = Verdict::ok;
  std::optional<std::uint64_t> size = {};  ///< In bytes, as found on disk.
  std::optional<Digest> digest = {};       ///< fs-verity digest, as found, if computed.
};

struct VerifyReport {
  std::string name;
  std::string version;
  Verdict verdict = Verdict::ok;  ///< The worst of the artifacts'.
  std::vector<ArtifactReport> artifacts = {};
};

struct PruneOptions {
  bool dry_run = false;
  /// Also remove installs whose record names a catalog file that is not loaded.
  bool unknown = false;
  /// Also remove every good install that is not in use, or those that one of the next two selects.
  bool all = false;
  /// Also remove good installs that were neither installed nor booted for so long.
  std::optional<std::chrono::seconds> older_than;
  /// Also remove good installs, least recently used first, until the others and their prepared
  /// states take at most this disk space in bytes.
  std::optional<std::uint64_t> keep_storage;
};

struct PruneReport {
  struct Failure {
    std::string name;
    std::string error;
  };
  std::vector<std::string> deleted_environment_dirs;  ///< Sorted.
  std::uint64_t bytes_reclaimed = 0;                  ///< Disk space, not apparent sizes.
  std::vector<std::string> skipped_in_use;
  std::vector<std::string> skipped_other_catalog;
  std::vector<Failure> failed;
  bool dry_run = false;
};

/// The disk space of an install directory, in bytes. An install from a runtime bundle consists of
/// links, and only the links count.
struct InstallUsage {
  std::string directory;  ///< Its name: "debian_12-1.0.0".
  /// From its install record. Nothing without a readable one: the next prune removes it.
  std::optional<std::string> name = {};
  std::optional<std::string> version = {};
  std::uint64_t disk_bytes = 0;
  /// Its prepared states; of several versions only the first has them.
  std::uint64_t prepared_bytes = 0;
  /// When it was installed or last booted, to the second.
  std::optional<std::chrono::system_clock::time_point> last_used = {};
};

struct CacheUsage {
  std::vector<InstallUsage> installs;  ///< Sorted by directory.
  std::uint64_t partial_bytes = 0;     ///< Partial downloads.
  std::uint64_t staging_bytes = 0;     ///< New content before it is published, or after a crash.
  std::uint64_t other_bytes = 0;       ///< Locks, folders, unknown files.
  std::uint64_t total_bytes = 0;       ///< The sum of all.
};

struct RemovalReport {
  /// Names in the cache: "debian_12-1.0.0", "prepared/debian_12".
  std::vector<std::string> removed;
  std::uint64_t bytes_reclaimed = 0;  ///< Disk space.
};

/// Whether there is a newer image of an installed environment. Digests are those of the index,
/// where there is one, else of the manifest.
struct UpdateStatus {
  EnvironmentStatus status;
  /// Nothing for an install that was not pulled from a registry.
  std::optional<Digest> installed_digest = {};
  /// What the reference names now: the pin, or the answer of the registry.
  std::optional<Digest> newest_digest = {};
  /// Whether a forced pull would install another image; nothing if that is unknown.
  std::optional<bool> newer_available = {};
  /// Why the registry did not answer.
  std::optional<Error> error = {};
};

/// The environments of a catalog in one cache directory, and in the stores behind it.
///
/// Thread-safe: one object may be used from several threads at once. Any number of objects and
/// processes may work on one cache directory at the same time. An object holds nothing but its
/// options; every function looks at the disk anew.
class EnvironmentStore {
 public:
  explicit EnvironmentStore(StoreOptions options) : options_(std::move(options)) {}

  [[nodiscard]] const StoreOptions& options() const noexcept { return options_; }

  /// Every environment of the catalog, sorted by name, installed or not. No network.
  /// @throws Error(filesystem) when the rights of the cache or a store forbid using it; (failed)
  /// for a runtime bundle of another platform.
  [[nodiscard]] std::vector<EnvironmentStatus> list() const;

  /// One environment of the catalog. No network.
  /// @throws Error(not_found) when the catalog does not have it; and as list() does.
  [[nodiscard]] EnvironmentStatus inspect(std::string_view name) const;

  /// Installs `name` unless it is installed (spec section 5), which needs neither network nor lock
  /// nor write. On failure the cache is as it was.
  /// @throws Error: not_found, network, integrity, filesystem, busy, interrupted, or failed.
  InstalledEnvironment ensure_installed(std::string_view name, const PullOptions& options = {});

  /// ensure_installed(), then inspect().
  EnvironmentStatus pull(std::string_view name, const PullOptions& options = {});

  /// Reads the artifacts of `name` and the files of the caller's prepared states of it, and
  /// compares sizes and fs-verity digests with those that were recorded. Holes are not read.
  /// @throws Error(not_found) when the catalog does not have it; (filesystem) for wrong rights or a
  /// disk that cannot be read; (interrupted).
  [[nodiscard]] VerifyReport verify(std::string_view name, const std::stop_token& stop = {}) const;

  /// Asks the registries, with HEAD requests, which do not count as pulls, whether there are newer
  /// images than those that are installed. Environments that are pinned by digest, or came from
  /// elsewhere, need no request. A failure is kept in the status of its environment. `progress` may
  /// be null.
  /// @throws Error(interrupted); (filesystem)
  [[nodiscard]] std::vector<UpdateStatus> updates(const std::stop_token& stop = {},
                                                  ProgressListener* progress = nullptr) const;

  /// The disk space of everything in the cache; what cannot be read counts as nothing.
  /// @throws Error(filesystem)
  [[nodiscard]] CacheUsage usage() const;

  /// Removes every install of `name`, also of other versions, and its prepared states. Nothing to
  /// remove is no error.
  /// @throws Error(not_found) when the catalog does not have it; (busy) while one of them is used
  /// or pulled, and all stay then; (failed) when only a store has it, as stores are only read;
  /// (filesystem).
  RemovalReport remove(std::string_view name);

  /// Removes what is no longer needed (spec section 8). Never follows a link out of the cache.
  /// @throws Error(filesystem) for wrong rights of the cache; other failures are in the report.
  PruneReport prune(const PruneOptions& options = {});

  /// Writes installed environments into `file`, which is created or replaced once the export is
  /// complete and on disk. The same installs give the same bytes, whatever the order of the names.
  /// @throws Error(not_found) for one that is unknown or not installed; (integrity) for one that
  /// differs from what was installed; (filesystem), (interrupted). `file` is then as it was.
  ExportReport export_to(const std::filesystem::path& file, std::span<const std::string> names,
                         const ExportOptions& options = {}) const;

  /// The same into an open descriptor, such as a pipe. The export is made in the cache first, which
  /// must have room for it, so that nothing incomplete is written.
  ExportReport export_to(int descriptor, std::span<const std::string> names,
                         const ExportOptions& options = {}) const;

  /// Opens an image layout to import from: a directory or a tar.
  /// @throws Error(filesystem, integrity, interrupted)
  [[nodiscard]] OpenLayout open_layout(const std::filesystem::path& path,
                                       const std::stop_token& stop = {}) const;

  /// Installs the image of `layout` with the environment name or else the reference `name`. With
  /// `as`, `name` may be empty for the only image. An install of another image is replaced.
  ///
  /// Pins of the catalog apply: the image itself must be the pinned one, whatever it says of its
  /// origin. For an environment that neither the catalog nor the user's catalog file has, the entry
  /// in the image is added to that file; stores with this file in their catalog have it from then
  /// on.
  /// @throws Error(not_found) when there is no such image or entry; (failed) when the catalog has
  /// another version; else as pull()
  EnvironmentStatus import_from(const OpenLayout& layout, std::string_view name,
                                const ImportOptions& options = {});

 private:
  StoreOptions options_;
};

}  // namespace pyro
