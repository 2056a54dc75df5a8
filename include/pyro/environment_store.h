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
#include "pyro/progress.h"

namespace pyro {

/// How to talk to registries and archive servers. The library reads no environment variables: what
/// the executable takes from them it puts here.
struct NetworkOptions {
  /// Files in the format of docker's config.json and containers-auth.json(5), the first that has an
  /// answer for a registry counts.
  std::vector<std::filesystem::path> credential_files;
  /// Where credential helpers (`docker-credential-NAME`) are looked for: the directories of PATH.
  std::vector<std::filesystem::path> helper_directories;
  /// Files in the format of containers-registries.conf(5), each laid over those before it.
  std::vector<std::filesystem::path> registries_files;
  /// Directories with a directory per registry of more certificates to trust, and of certificates
  /// to show: containers-certs.d(5). All that exist count.
  std::vector<std::filesystem::path> certificate_directories;
  /// Proxies as URLs ("http://proxy:3128"), and the hosts that are reached without, separated by
  /// commas. Loopback hosts are never proxied.
  std::optional<std::string> https_proxy;
  std::optional<std::string> http_proxy;
  std::optional<std::string> all_proxy;
  std::optional<std::string> no_proxy;
  /// Nothing is asked of any host: what would need one is Error(network) at once.
  bool offline = false;
  /// A PEM bundle and a hashed directory that replace the system's trust store.
  std::optional<std::filesystem::path> ca_file;
  std::optional<std::filesystem::path> ca_directory;
  /// Hosts that may be sent credentials as a token realm, beside those of spec section 6.
  std::vector<std::string> trusted_realms;
  /// How often in a row a request is made again whose failure may pass: a broken connection, a
  /// busy server. Bytes that arrived count as progress, and a transfer goes on where it broke off.
  int retries = 5;
  /// The first pause before that; the following are each twice as long, up to 30 s. Longer where
  /// the server asks for it, up to a minute.
  std::chrono::milliseconds retry_delay{500};
  /// From when on a transfer is kept for the next try, should this one be interrupted: what took
  /// less is sooner fetched again than written twice.
  std::chrono::milliseconds keep_after{2000};
};

/// Upper bounds on what an image may unpack to (spec section 6, "Bounds"), in bytes.
struct ExtractionLimits {
  std::uint64_t rootfs_bytes = std::uint64_t{64} << 30;
  std::uint64_t kernel_bytes = std::uint64_t{1} << 30;
  std::uint64_t initrd_bytes = std::uint64_t{1} << 30;
  std::uint64_t other_bytes = std::uint64_t{16} << 30;
  std::uint64_t compressed_bytes = std::uint64_t{64} << 30;
  std::uint64_t members = 100'000;
};

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

}  // namespace pyro
