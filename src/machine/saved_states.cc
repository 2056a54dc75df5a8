// The saved states of machines in the cache.
#include "machine/saved_states.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <functional>
#include <utility>

#include "base/files.h"
#include "base/output_file.h"
#include "base/strict_json.h"

namespace pyro {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxManifest = 1 << 20;

constexpr std::array kFiles = {kManifestName, kMemoryName, kDevicesName, kDiskName};

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

std::string text_of(const json& manifest) {
  return manifest.dump(2) + '\n';
}

/// The first file that is another one than the recorded one. One that was replaced by its like gets
/// its new identity in `recorded`.
std::optional<std::string> find_changed_file(const StateConditions& now, json& recorded) {
  for (const auto& [name, file] : now.files) {
    const auto before = recorded.find(name);  // end() if it is not an object
    if (before == recorded.end()) return name;
    if (file.is_identical(*before)) continue;
    if (!file.has_content(*before)) return name;
    (*before)["identity"] = file.identity();
  }
  for (const auto& [name, file] : recorded.items()) {
    if (!now.files.contains(name)) return name;
  }
  return std::nullopt;
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

json state_manifest(const StateConditions& conditions, const PreparedState& state,
                    const std::stop_token& stop) {
  json files = json::object();
  for (const auto& [name, file] : conditions.files) files[name] = file.record(name, stop);
  json artifacts = json::object();
  for (const auto& [name, file] :
       {std::pair(kMemoryName, state.memory.get()), std::pair(kDevicesName, state.devices.get()),
        std::pair(kDiskName, state.disk.get())}) {
    if (file < 0) continue;
    const json record = StateFile(file).record(name, stop);
    artifacts[name] = {{"size", record.at("identity").at("size")}, {"digest", record.at("digest")}};
    files[name] = record;
  }
  return {{"conditions", conditions.values},
          {"booted_on", machine_type_json(state.config)},
          {"files", std::move(files)},
          {"artifacts", std::move(artifacts)}};
}

Fd make_state_file(const StagingDirectory& staging, const char* name) {
  return open_at(staging.descriptor(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600,
                 staging.path_of(name));
}

void sync_state(const StagingDirectory& staging, const PreparedState& state) {
  sync_file(state.memory.get(), staging.path_of(kMemoryName));
  sync_file(state.devices.get(), staging.path_of(kDevicesName));
  if (state.disk) sync_file(state.disk.get(), staging.path_of(kDiskName));
}

std::filesystem::path SavedStates::directory_of(const StateKey& key) const {
  const MachineConfig& asked = key.asked;
  const bool is_kernel = key.kind == StateKind::kernel;
  std::string shape =
      fmt::format("{}-{}-{}", asked.cpus, asked.memory_mib, to_string(asked.network));
  // The kernel has not seen how large it is.
  if (asked.disk_mib != 0) shape += is_kernel ? "-disk" : fmt::format("-disk{}", asked.disk_mib);
  const std::string& name = key.lease.installation.record.name;
  const std::string base = key.lease.base ? name_of_base(*key.lease.base) : "";
  if (is_kernel) {
    return layout_.prepared_state_dir(base.empty() ? name : base, "kernel-" + shape);
  }
  return layout_.prepared_state_dir(
      name, base.empty() ? shape : shape + '-' + CacheLayout::prepared_name(base));
}

void SavedStates::publish(StagingDirectory& staging, json manifest, int parent,
                          const std::filesystem::path& directory) const {
  seal_.seal(manifest);
  const auto path = staging.path_of(kManifestName);
  const Fd file = open_at(staging.descriptor(), kManifestName,
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644, path);
  write_all(file.get(), text_of(manifest), path);
  sync_file(file.get(), path);
  staging.publish(parent, directory);
}

bool SavedStates::was_started_before(const StateKey& key) const try {
  const std::filesystem::path directory = directory_of(key);
  const Fd parent = layout_.make(directory.parent_path());
  const std::string name = "." + directory.filename().string();
  const Fd mark(
      try_open(parent.get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return !mark && errno == EEXIST;
} catch (const Error&) {
  return false;
}

StateLookup SavedStates::find(const StateKey& key) const {
  const std::filesystem::path directory = directory_of(key);
  StateLookup lookup;
  Fd folder;
  try {
    folder = layout_.open(directory);
  } catch (const Error& error) {
    return {.state = {}, .exists = true, .differences = {error.what()}};
  }
  if (!folder) return lookup;
  lookup.exists = true;
  const auto foreign = secure_or_drop(layout_, folder.get(), directory);
  const auto text = read_small_file_at(folder.get(), kManifestName, kMaxManifest);
  const json manifest = parse_strict_json_or_null(text.value_or(""));
  if (foreign || !manifest.is_object()) {
    lookup.differences.emplace_back(foreign.value_or("its manifest cannot be read"));
    return lookup;
  }
  if (const auto complaint = seal_.complaint_about(manifest)) {
    lookup.differences.push_back(*complaint);
    return lookup;
  }
  compare(key, std::move(folder), directory, manifest, lookup);
  return lookup;
}

StateMatch match_state(const json& manifest, const StateKey& key,
                       std::map<std::string, StateFile> own) {
  const auto config = config_in(manifest, key);
  StateMatch match{.config = config.value_or(key.asked), .differences = {}, .manifest = manifest};
  StateConditions now = state_conditions(key, match.config);
  now.files.merge(own);
  match.differences = differences_between(manifest.value("conditions", json::object()), now.values);
  if (!config && match.differences.empty()) {
    match.differences.emplace_back("it does not say which machine it is of");
  }
  if (!match.differences.empty()) return match;
  if (const auto changed = find_changed_file(now, match.manifest["files"])) {
    match.differences.push_back(difference_in(*changed));
  }
  return match;
}

void SavedStates::compare(const StateKey& key, Fd folder, const std::filesystem::path& directory,
                          const json& manifest, StateLookup& lookup) const {
  PreparedState state{.config = key.asked,
                      .memory = open_state_file(folder.get(), kMemoryName),
                      .devices = open_state_file(folder.get(), kDevicesName)};
  std::map<std::string, StateFile> own;
  own.emplace(kMemoryName, state.memory.get());
  own.emplace(kDevicesName, state.devices.get());
  if (key.kind == StateKind::prepared && key.asked.disk_mib != 0) {
    state.disk = open_state_file(folder.get(), kDiskName);
    own.emplace(kDiskName, state.disk.get());
  }
  StateMatch match = match_state(manifest, key, std::move(own));
  lookup.differences = std::move(match.differences);
  if (!lookup.differences.empty()) return;
  if (match.manifest != manifest) {
    record_adoption(std::move(folder), directory, std::move(match.manifest));
  }
  state.config = match.config;
  lookup.is_impossible = manifest.contains(kImpossible);
  if (!lookup.is_impossible) lookup.state = std::move(state);
}

// Otherwise they are read each time.
void SavedStates::record_adoption(Fd folder, const std::filesystem::path& directory,
                                  json manifest) const try {
  seal_.seal(manifest);
  NewFile file(std::move(folder), kManifestName, 0644, (directory / kManifestName).string());
  write_all(file.descriptor(), text_of(manifest), file.shown());
  file.commit();
} catch (const Error&) {  // NOLINT(bugprone-empty-catch): a cache may be read-only.
}

}  // namespace pyro
