// The saved state of a machine in the cache.
#include "vm/prepared_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>

#include "base/file_verity.h"
#include "base/strict_json.h"
#include "base/whole_calls.h"
#include "store/verify.h"
#include "vm/machine_ladder.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestManifest = 1 << 20;

constexpr std::array kFiles = {kManifestName, kMemoryName, kDevicesName};

bool is_any(int directory, const std::function<bool(const struct stat&)>& what) {
  return std::ranges::any_of(kFiles, [&](const char* name) {
    struct stat status {};
    return ::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode) && what(status);
  });
}

/// What keeps the state from being the caller's own; nothing when it is, and others cannot write
/// it. Read before its rights are mended, as installs are.
std::optional<std::string> foreign_hand(const CacheLayout& layout, int directory,
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

StateLookup find_prepared_state(const CacheLayout& layout, const std::filesystem::path& directory,
                                const StateOwner& owner) {
  StateLookup lookup;
  Fd folder;
  try {
    folder = layout.open(directory);
  } catch (const Error& error) {
    return {.state = {}, .exists = true, .differences = {error.what()}};
  }
  if (!folder) return lookup;
  lookup.exists = true;
  const auto foreign = foreign_hand(layout, folder.get(), directory);
  const auto text = read_small_file_at(folder.get(), kManifestName, kLargestManifest);
  const json manifest = parse_strict_json_or_null(text.value_or(""));
  if (!manifest.is_object()) {
    lookup.differences.emplace_back(foreign.value_or("its manifest cannot be read"));
    return lookup;
  }
  const auto shape = shape_in(manifest, owner.asked);
  PreparedState state{.shape = shape.value_or(owner.asked),
                      .memory = open_state_file(folder.get(), kMemoryName),
                      .devices = open_state_file(folder.get(), kDevicesName)};
  lookup.differences = differences_between(manifest.value("conditions", json::object()),
                                           state_conditions(owner, state.shape));
  if (foreign) {
    lookup.differences.push_back(*foreign);
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
