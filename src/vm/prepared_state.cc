// The saved state of a machine in the cache.
#include "vm/prepared_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file_verity.h"
#include "base/strict_json.h"
#include "vm/machine_ladder.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestManifest = 1 << 20;

bool is_of_another_user(int directory, const char* name) {
  struct stat status {};
  return ::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
         status.st_uid != ::geteuid();
}

Fd open_state_file(int directory, const char* name) {
  return Fd(::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
}

/// The state's own files are as they were published.
bool is_whole(const PreparedState& state, const json& manifest) {
  const json files = manifest.value("state", json::object());
  return state.memory && state.devices && files.is_object() &&
         files.value("memory", json()) == file_identity(state.memory.get()) &&
         files.value("devices", json()) == file_identity(state.devices.get());
}

/// As install records have it of artifacts.
json content_of(int file, const char* name, const std::stop_token& stop) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error(std::string("cannot look at ") + name, errno);
  const auto size = static_cast<std::uint64_t>(status.st_size);
  return {{"size", size}, {"digest", file_verity(file, size, name, stop).to_string()}};
}

/// One that would be tried, or nothing.
std::optional<MachineShape> shape_in(const json& manifest, const MachineShape& asked) {
  const json kind = manifest.value("booted_on", json());
  for (const MachineShape& shape : ladder_from(asked)) {
    if (kind == kind_of(shape)) return shape;
  }
  return std::nullopt;
}

}  // namespace

json state_manifest(const json& conditions, const PreparedState& state,
                    const std::stop_token& stop) {
  return {{"conditions", conditions},
          {"booted_on", kind_of(state.shape)},
          {"state",
           {{"memory", file_identity(state.memory.get())},
            {"devices", file_identity(state.devices.get())}}},
          {"artifacts",
           {{kMemoryName, content_of(state.memory.get(), kMemoryName, stop)},
            {kDevicesName, content_of(state.devices.get(), kDevicesName, stop)}}}};
}

std::filesystem::path prepared_state_dir(const CacheLayout& layout, const std::string& environment,
                                         GuestNetwork network) {
  return layout.prepared_state_dir(environment, name_of(network));
}

StateLookup find_prepared_state(const std::filesystem::path& directory, const StateOwner& owner) {
  StateLookup lookup;
  const Fd folder(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return lookup;
  lookup.exists = true;
  const auto text = read_small_file_at(folder.get(), kManifestName, kLargestManifest);
  const json manifest = parse_strict_json_or_null(text.value_or(""));
  if (!manifest.is_object()) {
    lookup.differences.emplace_back("its manifest cannot be read");
    return lookup;
  }
  const auto shape = shape_in(manifest, owner.asked);
  PreparedState state{.shape = shape.value_or(owner.asked),
                      .memory = open_state_file(folder.get(), kMemoryName),
                      .devices = open_state_file(folder.get(), kDevicesName)};
  lookup.differences = differences_between(manifest.value("conditions", json::object()),
                                           state_conditions(owner, state.shape));
  if (!state.memory && is_of_another_user(folder.get(), kMemoryName)) {
    lookup.differences.emplace_back("the saved state is another user's alone");
  } else if (!is_whole(state, manifest)) {
    lookup.differences.emplace_back("the saved state itself was changed");
  }
  if (!shape && lookup.differences.empty()) {
    lookup.differences.emplace_back("it does not say which machine it is of");
  }
  if (lookup.differences.empty()) lookup.state = std::move(state);
  return lookup;
}

}  // namespace pyro
