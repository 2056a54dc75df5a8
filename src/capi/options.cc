// The options of the C API, parsed from JSON texts.
#include "capi/options.h"

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "capi/fields.h"
#include "pyro/error.h"

namespace pyro::capi {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> text_of(const std::optional<fs::path>& path) {
  return path ? std::optional(path->string()) : std::nullopt;
}

SettingOverrides read_places(Fields& fields) {
  std::optional<fs::path> cache_dir;
  std::optional<fs::path> runtime_dir;
  std::vector<fs::path> catalogs;
  std::vector<fs::path> stores;
  fields.read("cache_dir", cache_dir);
  fields.read("stores", stores);
  fields.read("runtime_dir", runtime_dir);
  fields.read("catalogs", catalogs);
  SettingOverrides places;
  places.cache_dir = text_of(cache_dir);
  places.runtime_dir = text_of(runtime_dir);
  places.catalogs.assign(catalogs.begin(), catalogs.end());
  places.stores.assign(stores.begin(), stores.end());
  return places;
}

void read_network(Fields& fields, NetworkOptions& network) {
  fields.read("offline", network.offline);
  fields.read("retries", network.retries);
  fields.read("retry_delay", network.retry_delay);
  fields.read("keep_after", network.keep_after);
  fields.read("credential_files", network.credential_files);
  fields.read("helper_directories", network.helper_directories);
  fields.read("registries_files", network.registries_files);
  fields.read("certificate_directories", network.certificate_directories);
  fields.read("trusted_realms", network.trusted_realms);
  fields.read("https_proxy", network.https_proxy);
  fields.read("http_proxy", network.http_proxy);
  fields.read("all_proxy", network.all_proxy);
  fields.read("no_proxy", network.no_proxy);
  fields.read("ca_file", network.ca_file);
  fields.read("ca_directory", network.ca_directory);
}

}  // namespace

GuestNetwork read_network_kind(Fields& fields) {
  std::string network = "none";
  fields.read("network", network);
  const auto kind = parse_network(network);
  if (!kind) Fields::refuse("network", "one of: none, user, user+host");
  return *kind;
}

StoreOptions parse_store_options(std::string_view text, const Variables& variables) {
  Fields fields(text);
  StoreOptions store = store_options(read_places(fields), variables);
  store.extractor.clear();  // this process is no pyro
  fields.read("extractor", store.extractor);
  fields.read("base", store.base);
  fields.read("kernel_dir", store.kernel_dir);
  fields.read("lock_timeout", store.lock_timeout);
  fields.read("rootfs_bytes", store.limits.rootfs_bytes);
  read_network(fields, store.network);
  fields.refuse_rest();
  return store;
}

PullMode parse_pull_options(std::string_view text) {
  Fields fields(text);
  std::string mode = "ensure";
  fields.read("mode", mode);
  fields.refuse_rest();
  if (mode == "ensure") return PullMode::ensure;
  if (mode == "repair") return PullMode::repair;
  if (mode == "force") return PullMode::force;
  Fields::refuse("mode", "one of: ensure, repair, force");
}

PruneOptions parse_prune_options(std::string_view text) {
  Fields fields(text);
  PruneOptions prune;
  fields.read("dry_run", prune.dry_run);
  fields.read("unknown", prune.unknown);
  fields.read("all", prune.all);
  fields.read("older_than", prune.older_than);
  fields.read("keep_storage", prune.keep_storage);
  fields.refuse_rest();
  return prune;
}

MachineChoice parse_machine_options(std::string_view text, const MachineOptions& defaults) {
  Fields fields(text);
  MachineChoice choice{.machine = defaults};
  MachineOptions& machine = choice.machine;
  std::optional<std::string> kvm;
  fields.read("cpus", machine.cpus);
  fields.read("memory_mib", machine.memory_mib);
  fields.read("disk_mib", machine.disk_mib);
  machine.network = read_network_kind(fields);
  fields.read("kvm", kvm);
  fields.read("monitor", machine.monitor);
  fields.read("base", machine.base);
  fields.read("boot_timeout", machine.boot_timeout);
  fields.read("saves_states", machine.saves_states);
  fields.read("cold", choice.cold);
  std::vector<std::string> ports;
  fields.read("publish", ports);
  for (const std::string& port : ports) choice.ports.push_back(parse_port_options(port));
  fields.refuse_rest();
  if (kvm && *kvm != "never" && *kvm != "required") {
    Fields::refuse("kvm", "one of: never, required");
  }
  if (kvm) machine.kvm = *kvm == "never" ? KvmUse::never : KvmUse::required;
  return choice;
}

CommandOptions parse_command_options(std::string_view text) {
  Fields fields(text);
  CommandOptions command = read_command(fields);
  fields.refuse_rest();
  return command;
}

CommandOptions read_command(Fields& fields) {
  CommandOptions command;
  fields.read("command", command.command);
  fields.read("entrypoint", command.entrypoint);
  fields.read("variables", command.variables);
  fields.read("directory", command.directory);
  fields.read("user", command.user);
  fields.read("terminal", command.terminal);
  fields.read("timeout", command.timeout);
  fields.read("stop_timeout", command.stop_timeout);
  fields.read("output_limit", command.output_limit);
  fields.read("ends_all_processes", command.ends_all_processes);
  return command;
}

CopyOptions parse_copy_options(std::string_view text) {
  Fields fields(text);
  CopyOptions copy;
  fields.read("timeout", copy.timeout);
  fields.refuse_rest();
  return copy;
}

}  // namespace pyro::capi
