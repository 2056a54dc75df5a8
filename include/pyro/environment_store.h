// The local store of environments: from a name to a bootable kernel and root file system on disk.
//
// Source: spec sections 4 to 8.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/catalog.h"
#include "pyro/digest.h"
#include "pyro/error.h"
#include "pyro/limits.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"

namespace pyro {

struct StoreOptions {
  /// Where environments live; made when something is pulled.
  std::filesystem::path cache_dir;
  Catalog catalog = Catalog::built_in();
  /// Caches of others that are looked into after one's own, in this order: what is installed there
  /// counts as installed. They must be root's or the caller's, and no other may write them; nothing
  /// is written to them, no lock either. What is not there, or may not be read, has nothing.
  std::vector<std::filesystem::path> stores = {};
  /// A runtime bundle: `manifest.json` and `profiles/<source profile>/{vmlinux,rootfs.ext4}`.
  std::optional<std::filesystem::path> runtime_dir;
  NetworkOptions network;
  ExtractionLimits limits;
  /// How long to wait for another process's pull of the same environment; nothing: as long as it
  /// takes.
  std::optional<std::chrono::milliseconds> lock_timeout;
  /// The pyro executable, started for each pull to unpack what arrives: in a process that can do
  /// nothing else, as those bytes may come from anybody. Empty: the one that was installed with
  /// this library.
  std::filesystem::path extractor = {};
  /// Called with what the user should know, in one line, where no ProgressListener is: that rights
  /// which others had in the cache were taken away.
  std::function<void(std::string_view)> on_warning = {};
};

/// Where the files of an installed environment are.
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
  /// Of the image index that the image was chosen from, where there was one.
  std::optional<Digest> index_digest = {};
};

/// What `inspect` and `list` know of one environment.
struct EnvironmentStatus {
  Environment environment;
  std::filesystem::path cache_dir;
  /// Where it is installed, in the cache or a store, or would be, in the cache.
  std::filesystem::path install_dir;
  /// Set when a complete install of this name and version is there.
  std::optional<InstalledEnvironment> installed = {};
  /// Disk space of the artifacts, holes not counted; of the targets where they are links. Set when
  /// installed.
  std::optional<std::uint64_t> installed_bytes = {};
  /// Installed, but not what the catalog pins: the next pull replaces it.
  bool outdated = false;
};

enum class PullMode {
  ensure,  ///< Nothing to do when it is installed.
  repair,  ///< Replace it when its artifacts are not what was installed.
  force,   ///< Resolve, download and replace whatever is there.
};

struct PullOptions {
  PullMode mode = PullMode::ensure;
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Asking it to stop ends the pull with Error(interrupted) and leaves the cache as it was.
  std::stop_token stop;
};

/// The outcome of comparing what is on disk with what was installed.
enum class Verdict {
  ok,
  modified,      ///< A size or digest differs.
  missing,       ///< An artifact, or the whole environment, is not there.
  unverifiable,  ///< No digests were recorded: installs of the Python reference, bundles.
};

/// "ok", "modified", "missing", "unverifiable".
[[nodiscard]] std::string_view to_string(Verdict verdict) noexcept;

struct ArtifactReport {
  std::string name;  ///< "rootfs.ext4"; of a saved state "prepared/<network>/memory".
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
  /// Also remove every good install that is not in use. One of the next two narrows that.
  bool all = false;
  /// Also remove good installs that were of no use for so long: neither installed nor booted.
  std::optional<std::chrono::seconds> older_than;
  /// Also remove good installs, least recently used first, until the others and their saved states
  /// take no more bytes of disk space than this.
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

/// The store over one cache directory.
///
/// Any number of stores, threads and processes may work on one cache directory at the same time;
/// one store object may be used from one thread at a time. Nothing is read or written before a
/// function is called.
class EnvironmentStore {
 public:
  explicit EnvironmentStore(StoreOptions options);
  ~EnvironmentStore();
  EnvironmentStore(EnvironmentStore&&) noexcept;
  EnvironmentStore& operator=(EnvironmentStore&&) noexcept;

  [[nodiscard]] const StoreOptions& options() const noexcept;

  /// Every environment of the catalog, sorted by name, installed or not. No network.
  /// @throws Error(filesystem) for a cache that may not be used; (failed) for a runtime bundle of
  /// another platform.
  [[nodiscard]] std::vector<EnvironmentStatus> list() const;

  /// One environment of the catalog. No network.
  /// @throws Error(not_found) when the catalog does not have it; and as list() does.
  [[nodiscard]] EnvironmentStatus inspect(std::string_view name) const;

  /// Makes sure `name` is installed and says where (spec section 5). When it is there already this
  /// costs neither network nor lock nor write. On failure the cache is as it was.
  /// @throws Error: not_found, network, integrity, filesystem, busy, interrupted, or failed.
  InstalledEnvironment ensure_installed(std::string_view name, const PullOptions& options = {});

  /// ensure_installed(), then inspect().
  EnvironmentStatus pull(std::string_view name, const PullOptions& options = {});

  /// Re-reads the artifacts of `name` and the files of your saved states of it, and compares sizes
  /// and fs-verity digests with what was recorded; holes cost nothing.
  /// @throws Error(not_found) when the catalog does not have it; (filesystem) for a cache that may
  ///         not be used, or a disk that cannot be read; (interrupted).
  [[nodiscard]] VerifyReport verify(std::string_view name, const std::stop_token& stop = {}) const;

  /// Removes what no longer serves (spec section 8). Never follows a link out of the cache.
  /// @throws Error(filesystem) for a cache that may not be used; what cannot be removed is in the
  /// report.
  PruneReport prune(const PruneOptions& options = {});

 private:
  StoreOptions options_;
};

/// An install directory. All sizes are disk space: holes take none, and of an install out of a
/// runtime bundle, which is made of links, the links alone count.
struct InstallUsage {
  std::string directory;  ///< Its name: "debian_12-1.0.0".
  /// From its install record; nothing where there is no readable one: the next prune removes it.
  std::optional<std::string> name = {};
  std::optional<std::string> version = {};
  std::uint64_t disk_bytes = 0;  ///< The artifacts, nearly all of it.
  /// The saved states of its machines; of several versions the first has them.
  std::uint64_t prepared_bytes = 0;
  /// When it was installed or last booted, to the second.
  std::optional<std::chrono::system_clock::time_point> last_used = {};
};

struct CacheUsage {
  std::vector<InstallUsage> installs;  ///< Sorted by directory.
  std::uint64_t partial_bytes = 0;     ///< What interrupted pulls keep for the next try.
  std::uint64_t staging_bytes = 0;     ///< What is being made just now, or was left by a crash.
  std::uint64_t other_bytes = 0;       ///< Locks, folders, and what is nobody's.
  std::uint64_t total_bytes = 0;       ///< The sum of all.
};

/// Looks at everything in the cache; what cannot be read counts nothing.
/// @throws Error(filesystem)
[[nodiscard]] CacheUsage cache_usage(const EnvironmentStore& store);

struct RemovalReport {
  /// Names in the cache: "debian_12-1.0.0", "prepared/debian_12".
  std::vector<std::string> removed;
  std::uint64_t bytes_reclaimed = 0;  ///< Disk space.
};

/// Removes every install of `name`, of other versions too, and the saved states of its machines.
/// Nothing to remove is no failure, unless it is in a store: stores are only read.
/// @throws Error(not_found) when the catalog does not have it; (busy) while somebody uses or pulls
/// any of them, and all stay then; (failed) when only a store has it; (filesystem).
RemovalReport remove_environment(EnvironmentStore& store, std::string_view name);

/// One installed environment. Its image is known by the digest of its index, where there is one,
/// else of its manifest.
struct UpdateStatus {
  EnvironmentStatus status;
  /// Of what was pulled; nothing for an install that came from elsewhere.
  std::optional<Digest> installed_digest = {};
  /// Of what the reference names now: the pin where there is one, else the registry's word.
  std::optional<Digest> newest_digest = {};
  /// Whether a forced pull would bring another image; nothing where nobody can say.
  std::optional<bool> newer_available = {};
  /// Why the registry could not say.
  std::optional<Error> error = {};
};

/// What each reference of an installed environment names, asked of the registries with HEAD, which
/// counts as no pull. What is pinned by its digest is asked of nobody, and neither is what did not
/// come from a registry. The failure of one is not that of the others. `progress`, which may be
/// null, hears of each request.
/// @throws Error(interrupted); (filesystem)
[[nodiscard]] std::vector<UpdateStatus> find_updates(const EnvironmentStore& store,
                                                     const std::stop_token& stop = {},
                                                     ProgressListener* progress = nullptr);

}  // namespace pyro
