// Whether an environment is installed.
#include "store/installation.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/oci_names.h"
#include "catalog/names.h"
#include "source/chosen_source.h"
#include "store/verify.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

// Through a link: bundles are installed as links.
std::optional<std::uint64_t> allocated_if_file(int directory, std::string_view name) {
  struct stat status {};
  if (::fstatat(directory, std::string(name).c_str(), &status, 0) != 0) return std::nullopt;
  if (!S_ISREG(status.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

/// All that others must not be able to write.
std::vector<std::string> parts_of_install() {
  std::vector<std::string> parts{".", kRecordName};
  for (const ArtifactKind& kind : kArtifactKinds) parts.emplace_back(kind.name);
  return parts;
}

bool has_excess(int directory, const std::string& part) {
  struct stat status {};
  return ::fstatat(directory, part.c_str(), &status, 0) == 0 && Rights::has_excess(status);
}

/// Whether it may be used. Read before the rights are mended, so that no other process believes it
/// meanwhile.
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

/// A bundle's digest and that of the reference's archives are claims that nothing was held against.
bool was_hashed(const InstallRecord& record) {
  return record.source != kBundleSource && !record.artifacts.empty();
}

}  // namespace

bool is_image(const InstallRecord& record) {
  return split_layout_url(record.source).has_value();  // "oci://" as well
}

InstalledEnvironment Installation::describe() const {
  InstalledEnvironment installed;
  installed.name = record.name;
  installed.version = record.version;
  installed.install_dir = directory;
  installed.kernel_image = directory / kArtifactKinds[kKernel].name;
  installed.rootfs_image = directory / kArtifactKinds[kRootfs].name;
  if (has_initrd) installed.initrd_image = directory / kArtifactKinds[kInitrd].name;
  installed.source = record.source;
  installed.source_digest = record.source_digest;
  installed.index_digest = record.oci_digest;
  return installed;
}

std::optional<Installation> find_installation(const CacheLayout& layout,
                                              const Environment& environment) {
  const Fd platform = layout.open_platform();
  const std::filesystem::path directory = layout.install_dir(environment);
  const std::string name = directory.filename().string();
  while (platform) {
    const Fd fd = try_open_directory(platform.get(), name);
    if (!fd) return std::nullopt;
    auto found =
        find_installation_at(layout, fd.get(), directory, environment.name, environment.version);
    // What is replaced just now may be gone before it is read: look at what came for it.
    if (found || is_still_in(platform.get(), name, fd.get())) return found;
  }
  return std::nullopt;
}

std::optional<Installation> find_installation_at(const CacheLayout& layout, int directory_fd,
                                                 const std::filesystem::path& directory,
                                                 const std::string& name,
                                                 const std::string& version) {
  auto record = InstallRecord::read(directory_fd);
  if (!record || record->name != name || record->version != version) return std::nullopt;
  Installation installation{.directory = directory, .record = std::move(*record)};
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    const auto allocated = allocated_if_file(directory_fd, kArtifactKinds[kind].name);
    if (!allocated && kArtifactKinds[kind].required) return std::nullopt;
    installation.allocated_bytes += allocated.value_or(0);
    if (kind == kInitrd) installation.has_initrd = allocated.has_value();
  }
  if (!keep_or_drop(layout, directory_fd, installation)) return std::nullopt;
  return installation;
}

std::uint64_t prepared_bytes(const CacheLayout& layout, const InstallRecord& record) {
  // Anything may stand in a record, and it is about to become a path.
  if (!is_environment_name(record.name)) return 0;
  const Fd folder = try_open_directory(AT_FDCWD, layout.prepared_dir().native());
  return folder ? allocated_bytes_at(folder.get(), CacheLayout::prepared_name(record.name)) : 0;
}

bool is_outdated(const InstallRecord& record, const Environment& environment) {
  if (!is_pinned(environment)) return false;
  const auto digest = Digest::parse(record.source_digest.value_or(""));
  if (is_image(record)) {
    const auto& pin = environment.oci_digest;
    return !pin || (pin != digest && pin != record.oci_digest);
  }
  return !environment.source_sha256 || !was_hashed(record) || environment.source_sha256 != digest;
}

}  // namespace pyro
