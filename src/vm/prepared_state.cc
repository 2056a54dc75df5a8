// The saved state of a machine in the cache.
#include "vm/prepared_state.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <fstream>

#include "base/sha256.h"
#include "stream/artifacts.h"
#include "vm/guest_program.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestManifest = 1 << 20;

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

/// A state holds registers of the processor it was saved on.
std::string processor_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.size(), line.find(':')));
  }
  return {};
}

json machine_conditions(const MachineShape& shape) {
  return {{"accelerator", to_string(shape.accelerator)},
          {"type", shape.type == MachineType::q35 ? "q35" : "microvm"},
          {"cpus", shape.cpus},
          {"memory_mib", shape.memory_mib},
          {"network", shape.network == GuestNetwork::user ? "user" : "none"}};
}

json digests_of(const InstallRecord& record) {
  json digests = json::object();
  for (const auto& [name, artifact] : record.artifacts) digests[name] = artifact.digest.to_string();
  if (record.source_digest) digests["source"] = *record.source_digest;
  return digests;
}

/// What a person calls a condition.
std::string words_for(const std::string& key) {
  if (key == "monitor") return "the machine monitor was replaced";
  if (key == "guest_program") return "this pyro has another guest program";
  if (key == "machine") return "a machine of another shape or accelerator is asked for";
  if (key == "processor") return "this is another processor";
  if (key == "catalog_version") return "this pyro has another catalog";
  if (key == "digests") return "another build of the environment is installed";
  if (key == "version") return "another version of the environment is installed";
  if (key == "name") return "it is of another environment";
  return key + " was changed or replaced";
}

std::vector<std::string> differences_between(const json& before, const json& now) {
  std::vector<std::string> found;
  for (const auto& [key, value] : now.items()) {
    if (!before.contains(key) || before[key] != value) found.push_back(words_for(key));
  }
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key)) found.push_back(words_for(key));
  }
  return found;
}

Fd open_state_file(int directory, const char* name) {
  return Fd(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

/// The state's own files are as they were published.
bool is_whole(const PreparedState& state) {
  const json files = state.manifest.value("state", json::object());
  return state.memory && state.devices && files.is_object() &&
         files.value("memory", json()) == file_identity(state.memory.get()) &&
         files.value("devices", json()) == file_identity(state.devices.get());
}

}  // namespace

json file_identity(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return nullptr;
  return identity_of(status);
}

json state_conditions(const HeldInstallation& held, const MachineShape& shape,
                      const std::filesystem::path& monitor) {
  const InstallRecord& record = held.installation.record;
  json conditions = {{"name", record.name},
                     {"version", record.version},
                     {"digests", digests_of(record)},
                     {"catalog_version", std::string(kCatalogVersion)},
                     {"guest_program", sha256(guest_program()).to_string()},
                     {"machine", machine_conditions(shape)},
                     {"monitor", {{"path", monitor.string()}, {"file", identity_of_path(monitor)}}},
                     {"vmlinux", file_identity(held.kernel.get())},
                     {"rootfs.ext4", file_identity(held.rootfs.get())}};
  if (held.initrd) conditions["initrd.img"] = file_identity(held.initrd.get());
  if (shape.accelerator == Accelerator::kvm) conditions["processor"] = processor_model();
  return conditions;
}

std::filesystem::path prepared_state_dir(const CacheLayout& layout, const std::string& environment,
                                         GuestNetwork network) {
  return layout.prepared_dir() / CacheLayout::prepared_name(environment) /
         (network == GuestNetwork::user ? "user" : "none");
}

StateLookup find_prepared_state(const std::filesystem::path& directory, const json& conditions) {
  StateLookup lookup;
  const Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return lookup;
  lookup.exists = true;
  const auto text = read_small_file_at(folder.get(), kManifestName, kLargestManifest);
  PreparedState state{.directory = directory,
                      .manifest = json::parse(text.value_or(""), nullptr, false),
                      .memory = open_state_file(folder.get(), kMemoryName),
                      .devices = open_state_file(folder.get(), kDevicesName)};
  if (!state.manifest.is_object()) {
    lookup.differences.emplace_back("its manifest cannot be read");
    return lookup;
  }
  lookup.differences =
      differences_between(state.manifest.value("conditions", json::object()), conditions);
  if (!is_whole(state)) lookup.differences.emplace_back("the saved state itself was changed");
  if (lookup.differences.empty()) lookup.state = std::move(state);
  return lookup;
}

}  // namespace pyro
