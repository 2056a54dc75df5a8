// The manifest of a workspace.
#include "workspace/manifest.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "base/strict_json.h"
#include "base/text.h"

namespace pyro {
namespace {

using nlohmann::json;

/// Of workspaces with snapshots.
constexpr int kFormat = 2;

std::int64_t seconds_since_1970(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::chrono::system_clock::time_point time_of(const json& seconds) {
  return std::chrono::system_clock::time_point(std::chrono::seconds(seconds.get<std::int64_t>()));
}

json base_document(const BaseRecord& base) {
  json digests = json::object();
  for (const auto& [name, digest] : base.digests) digests[name] = digest.to_string();
  return {{"name", base.name}, {"digests", std::move(digests)}};
}

BaseRecord base_of(const json& document) {
  BaseRecord base{.name = document.at("name")};
  for (const auto& [name, text] : document.at("digests").items()) {
    if (const auto digest = Digest::parse(text.get<std::string>())) {
      base.digests.emplace(name, *digest);
    }
  }
  return base;
}

}  // namespace

std::string WorkspaceManifest::render() const {
  json document = {{"format", kFormat},
                   {"environment", environment},
                   {"version", version},
                   {"kind", kind == EnvironmentKind::container ? "container" : "environment"},
                   {"cpus", cpus},
                   {"memory_mib", memory_mib},
                   {"disk_mib", disk_mib},
                   {"network", to_string(network)},
                   {"idle_seconds", idle.count()},
                   {"idle_with_processes", idle_with_processes},
                   {"ttl_seconds", ttl.count()},
                   {"discard", discard},
                   {"created", seconds_since_1970(created)},
                   {"current", current}};
  document["snapshots"] = json::array();
  for (const SnapshotRecord& snapshot : snapshots) {
    document["snapshots"].push_back({{"name", snapshot.name},
                                     {"state", snapshot.state},
                                     {"made", seconds_since_1970(snapshot.made)}});
  }
  if (base) document["base"] = base_document(*base);
  return document.dump(2) + '\n';
}

WorkspaceManifest WorkspaceManifest::parse(std::string_view text) try {
  const json document = parse_strict_json(text, ErrorCode::failed);
  if (document.at("format") != kFormat) {
    throw Error(ErrorCode::failed, "another version of pyro made it");
  }
  WorkspaceManifest manifest{
      .environment = document.at("environment"),
      .version = document.at("version"),
      .kind = document.at("kind") == "container" ? EnvironmentKind::container
                                                 : EnvironmentKind::environment,
      .cpus = document.at("cpus"),
      .memory_mib = document.at("memory_mib"),
      .disk_mib = document.at("disk_mib"),
      .idle = std::chrono::seconds(document.at("idle_seconds").get<std::int64_t>()),
      .idle_with_processes = document.value("idle_with_processes", false),
      .ttl = std::chrono::seconds(document.value("ttl_seconds", std::int64_t{0})),
      .discard = document.value("discard", false),
      .created = time_of(document.at("created")),
      .current = document.at("current")};
  for (const json& snapshot : document.at("snapshots")) {
    manifest.snapshots.push_back({.name = snapshot.at("name"),
                                  .state = snapshot.at("state"),
                                  .made = time_of(snapshot.at("made"))});
  }
  for (const auto network : {GuestNetwork::user, GuestNetwork::user_and_host}) {
    if (document.at("network") == to_string(network)) manifest.network = network;
  }
  if (document.contains("base")) manifest.base = base_of(document["base"]);
  return manifest;
} catch (const json::exception& error) {
  throw Error(ErrorCode::failed, std::string("a field is missing or wrong: ") + error.what());
}

Environment WorkspaceManifest::entry() const {
  Environment entry;
  entry.name = environment;
  entry.version = version;
  entry.kind = kind;
  return entry;
}

std::optional<std::chrono::system_clock::time_point> WorkspaceManifest::expires() const {
  if (ttl.count() == 0) return std::nullopt;
  return created + ttl;
}

const SnapshotRecord* WorkspaceManifest::find_snapshot(std::string_view name) const {
  const auto found = std::ranges::find(snapshots, name, &SnapshotRecord::name);
  return found == snapshots.end() ? nullptr : &*found;
}

const SnapshotRecord& WorkspaceManifest::require_snapshot(std::string_view name) const {
  if (const SnapshotRecord* const found = find_snapshot(name)) return *found;
  std::vector<std::string> known;
  for (const SnapshotRecord& snapshot : snapshots) known.push_back(snapshot.name);
  throw Error(ErrorCode::not_found, "there is no snapshot " + in_quotes(name),
              known.empty() ? "'pyro workspace snapshot' makes one"
                            : fmt::format("there are {}", fmt::join(known, ", ")));
}

void WorkspaceManifest::add_snapshot(std::string_view name, unsigned state) {
  remove_snapshot(name);
  snapshots.push_back(
      {.name = std::string(name), .state = state, .made = std::chrono::system_clock::now()});
}

void WorkspaceManifest::remove_snapshot(std::string_view name) {
  std::erase_if(snapshots, [&](const SnapshotRecord& snapshot) { return snapshot.name == name; });
}

unsigned WorkspaceManifest::next_state() const {
  unsigned last = current;
  for (const SnapshotRecord& snapshot : snapshots) last = std::max(last, snapshot.state);
  return last + 1;
}

bool WorkspaceManifest::uses(unsigned state) const {
  return state == current ||
         std::ranges::find(snapshots, state, &SnapshotRecord::state) != snapshots.end();
}

void require_workspace_name(std::string_view name) {
  constexpr std::size_t kMaxName = 64;
  const bool is_good = !name.empty() && name.size() <= kMaxName && is_alnum(name.front()) &&
                       all_are(name, [](char c) { return is_alnum(c) || is_one_of(c, "._-"); });
  if (is_good) return;
  throw Error(ErrorCode::usage, in_quotes(name) + " is no name of a workspace or a snapshot",
              "a name has up to 64 letters, digits, '.', '_' and '-', and begins with a letter or "
              "digit");
}

}  // namespace pyro
