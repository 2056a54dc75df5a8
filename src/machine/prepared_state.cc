// The saved states of machines in the cache.
#include "machine/prepared_state.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <functional>
#include <span>

#include "base/files.h"
#include "base/fs_verity.h"
#include "base/hash.h"
#include "base/strict_json.h"
#include "machine/initramfs.h"
#include "store/installation.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

using nlohmann::json;

json identity_of(const struct stat& status) {
  return {{"device", status.st_dev},
          {"inode", status.st_ino},
          {"size", status.st_size},
          {"modified_ns", status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec}};
}

json identity_of_path(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return nullptr;
  return identity_of(status);
}

/// A state holds registers of the processor it was saved on, and the guest uses its features.
json processor() {
  json found = json::object();
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line) && !line.empty();) {
    for (const char* const key : {"model name", "flags"}) {
      if (line.starts_with(key)) found[key] = sha256(line).to_string();
    }
  }
  return found;
}

std::string host_kernel() {
  struct utsname names {};
  return ::uname(&names) == 0 ? names.release : "";
}

json machine_conditions(const MachineConfig& config) {
  return {{"accelerator", to_string(config.accelerator)},
          {"cpus", config.cpus},
          {"memory_mib", config.memory_mib},
          {"network", name_of(config.network)}};
}

json digests_of(const InstallRecord& record) {
  json digests = json::object();
  for (const auto& [name, artifact] : record.artifacts) digests[name] = artifact.digest.to_string();
  if (record.source_digest) digests["source"] = *record.source_digest;
  return digests;
}

json base_conditions(const BaseRecord& base) {
  json digests = json::object();
  for (const auto& [name, digest] : base.digests) digests[name] = digest.to_string();
  return {{"name", base.name}, {"digests", std::move(digests)}};
}

void add_install_conditions(const InstallLease& lease, json& conditions) {
  const InstallRecord& record = lease.installation.record;
  conditions["name"] = record.name;
  conditions["version"] = record.version;
  conditions["digests"] = digests_of(record);
  conditions["catalog_version"] = std::string(kCatalogVersion);
  conditions["rootfs.ext4"] = file_identity(lease.rootfs.get());
  if (lease.base) conditions["base"] = base_conditions(*lease.base);
}

/// A base that is a directory has no name of an environment.
std::string name_of_base(const BaseRecord& base) {
  return base.name.starts_with('/') ? kInstalledKernelName : base.name;
}

/// A condition in messages.
std::string description_of(const std::string& key) {
  if (key == "monitor") return "the machine monitor was replaced";
  if (key == "guest_program") return "this pyro has another guest program";
  if (key == "machine") return "a machine of another shape or accelerator is asked for";
  if (key == "options") return "this pyro starts machines with other options";
  if (key == "processor") return "this is another processor";
  if (key == "host_kernel") return "this host runs another kernel";
  if (key == "catalog_version") return "this pyro has another catalog";
  if (key == "digests") return "another build of the environment is installed";
  if (key == "base") return "another kernel boots it";
  if (key == "version") return "another version of the environment is installed";
  if (key == "name") return "it is of another environment";
  return key + " was changed or replaced";
}

using nlohmann::json;

constexpr std::size_t kMaxManifest = 1 << 20;

constexpr std::array kFiles = {kManifestName, kMemoryName, kDevicesName};

bool is_any(int directory, const std::function<bool(const struct stat&)>& what) {
  return std::ranges::any_of(kFiles, [&](const char* name) {
    struct stat status {};
    return ::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode) && what(status);
  });
}

/// Why the state cannot be trusted; nothing if it can. Excess write permission is removed, after a
/// verification.
std::optional<std::string> secure_or_drop(const CacheLayout& layout, int directory,
                                          const std::filesystem::path& path) try {
  if (is_any(directory, [](const auto& file) { return file.st_uid != ::geteuid(); })) {
    return "the saved state is another user's alone";
  }
  if (is_any(directory, Rights::has_excess) && !is_as_saved(directory, path)) {
    ::unlinkat(directory, kManifestName, 0);
    return "others could write the saved state, and it is not as it was saved";
  }
  if (is_any(directory, Rights::has_excess)) {
    for (const char* const name : kFiles) layout.rights().guard_at(directory, name, path / name);
  }
  return std::nullopt;
} catch (const Error& error) {
  return error.what();
}

Fd open_state_file(int directory, const char* name) {
  return Fd(try_open(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
}

/// Whether the files of the state are those that were published.
bool is_whole(const PreparedState& state, const json& manifest) {
  const json files = manifest.value("state", json::object());
  return state.memory && state.devices && files.is_object() &&
         files.value("memory", json()) == file_identity(state.memory.get()) &&
         files.value("devices", json()) == file_identity(state.devices.get());
}

/// Size and digest, as install records have them.
json content_of(int file, const char* name, const std::stop_token& stop) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error(std::string("cannot look at ") + name, errno);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  return {{"size", size}, {"digest", file_verity(file, size, name, stop).to_string()}};
}

/// The config that it was booted with, if it is a candidate for the one that is asked for.
std::optional<MachineConfig> config_in(const json& manifest, const StateKey& key) {
  const json kind = manifest.value("booted_on", json());
  for (const MachineConfig& config : key.monitor.candidates(key.asked)) {
    if (kind == machine_type_json(config)) return config;
  }
  return std::nullopt;
}

}  // namespace

std::string_view name_of(GuestNetwork network) noexcept {
  return network == GuestNetwork::user ? "user" : "none";
}

json machine_type_json(const MachineConfig& config) {
  return {{"accelerator", to_string(config.accelerator)},
          {"type", config.type == MachineType::q35 ? "q35" : "microvm"}};
}

json file_identity(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return nullptr;
  return identity_of(status);
}

std::vector<std::string> differences_between(const json& before, const json& now) {
  std::vector<std::string> found;
  for (const auto& [key, value] : now.items()) {
    if (!before.contains(key) || before[key] != value) found.push_back(description_of(key));
  }
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key)) found.push_back(description_of(key));
  }
  return found;
}

json state_conditions(const StateKey& key, const MachineConfig& config) {
  const InstallLease& lease = key.lease;
  json conditions = {{"guest_program", std::string(guest_program_digest())},
                     {"machine", machine_conditions(key.asked)},
                     {"options", key.monitor.fingerprint()},
                     {"monitor",
                      {{"path", key.monitor.program().string()},
                       {"file", identity_of_path(key.monitor.program())}}},
                     {"vmlinux", file_identity(lease.kernel.get())}};
  if (lease.initrd) conditions["initrd.img"] = file_identity(lease.initrd.get());
  if (key.kind == StateKind::prepared) add_install_conditions(lease, conditions);
  if (config.accelerator == Accelerator::kvm) {
    conditions["processor"] = processor();
    conditions["host_kernel"] = host_kernel();
  }
  return conditions;
}

json state_manifest(const json& conditions, const PreparedState& state,
                    const std::stop_token& stop) {
  return {{"conditions", conditions},
          {"booted_on", machine_type_json(state.config)},
          {"state",
           {{"memory", file_identity(state.memory.get())},
            {"devices", file_identity(state.devices.get())}}},
          {"artifacts",
           {{kMemoryName, content_of(state.memory.get(), kMemoryName, stop)},
            {kDevicesName, content_of(state.devices.get(), kDevicesName, stop)}}}};
}

std::filesystem::path state_dir(const CacheLayout& layout, const StateKey& key) {
  const std::string shape =
      fmt::format("{}-{}-{}", key.asked.cpus, key.asked.memory_mib, name_of(key.asked.network));
  const std::string& name = key.lease.installation.record.name;
  const std::string base = key.lease.base ? name_of_base(*key.lease.base) : "";
  if (key.kind == StateKind::kernel) {
    return layout.prepared_state_dir(base.empty() ? name : base, "kernel-" + shape);
  }
  return layout.prepared_state_dir(
      name, base.empty() ? shape : shape + '-' + CacheLayout::prepared_name(base));
}

Fd make_state_file(const StagingDirectory& staging, const char* name) {
  return open_at(staging.descriptor(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600,
                 staging.path_of(name));
}

void publish_state(StagingDirectory& staging, const json& manifest, int parent,
                   const std::filesystem::path& directory) {
  const auto path = staging.path_of(kManifestName);
  const Fd file = open_at(staging.descriptor(), kManifestName,
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, path);
  write_all(file.get(), manifest.dump(2) + '\n', path);
  sync_file(file.get(), path);
  staging.publish(parent, directory);
}

StateLookup find_state(const CacheLayout& layout, const StateKey& key) {
  return find_state(layout, state_dir(layout, key), key);
}

StateLookup find_state(const CacheLayout& layout, const std::filesystem::path& directory,
                       const StateKey& key) {
  StateLookup lookup;
  Fd folder;
  try {
    folder = layout.open(directory);
  } catch (const Error& error) {
    return {.state = {}, .exists = true, .differences = {error.what()}};
  }
  if (!folder) return lookup;
  lookup.exists = true;
  const auto foreign = secure_or_drop(layout, folder.get(), directory);
  const auto text = read_small_file_at(folder.get(), kManifestName, kMaxManifest);
  const json manifest = parse_strict_json_or_null(text.value_or(""));
  if (!manifest.is_object()) {
    lookup.differences.emplace_back(foreign.value_or("its manifest cannot be read"));
    return lookup;
  }
  const auto config = config_in(manifest, key);
  PreparedState state{.config = config.value_or(key.asked),
                      .memory = open_state_file(folder.get(), kMemoryName),
                      .devices = open_state_file(folder.get(), kDevicesName)};
  lookup.differences = differences_between(manifest.value("conditions", json::object()),
                                           state_conditions(key, state.config));
  const bool is_impossible = manifest.contains(kImpossible);
  if (foreign) {
    lookup.differences.push_back(*foreign);
  } else if (!is_whole(state, manifest)) {
    lookup.differences.emplace_back("the saved state itself was changed");
  }
  if (!config && lookup.differences.empty()) {
    lookup.differences.emplace_back("it does not say which machine it is of");
  }
  lookup.is_impossible = is_impossible && lookup.differences.empty();
  if (!is_impossible && lookup.differences.empty()) lookup.state = std::move(state);
  return lookup;
}

}  // namespace pyro
