// The options of the C API, parsed from JSON texts.
#include "capi/options.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/strict_json.h"
#include "pyro/error.h"

namespace pyro::capi {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// The fields of one object. Each is read at most once, and refuse_rest() finds mistyped names.
class Fields {
 public:
  explicit Fields(std::string_view text) : object_(json::object()) {
    if (!text.empty()) object_ = parse_strict_json(text, ErrorCode::usage);
    if (!object_.is_object()) throw Error(ErrorCode::usage, "the options are not an object");
  }

  /// Leaves `target` as it is when there is no such field, or null.
  template <typename T>
  void read(const char* name, T& target) {
    const auto field = object_.find(name);
    if (field == object_.end()) return;
    if (!field->is_null()) assign(name, *field, target);
    object_.erase(field);
  }

  void refuse_rest() const {
    if (object_.empty()) return;
    throw Error(ErrorCode::usage, "options: there is no field '" + object_.begin().key() + "'");
  }

  [[noreturn]] static void refuse(const char* name, const char* expected) {
    throw Error(ErrorCode::usage, std::string("options: field '") + name + "' is not " + expected);
  }

 private:
  static void assign(const char* name, const json& value, bool& target) {
    if (!value.is_boolean()) refuse(name, "true or false");
    target = value.get<bool>();
  }

  static void assign(const char* name, const json& value, int& target) {
    constexpr std::uint64_t kMax = 1000;
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMax) {
      refuse(name, "a number from 0 to 1000");
    }
    target = value.get<int>();
  }

  static void assign(const char* name, const json& value, unsigned& target) {
    constexpr std::uint64_t kMax = kMaxDiskMib;  // the largest of them
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMax) {
      refuse(name, "a number in its bounds");
    }
    target = value.get<unsigned>();
  }

  static void assign(const char* name, const json& value, std::uint64_t& target) {
    // A file's size is signed.
    constexpr auto kMax = std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kMax) {
      refuse(name, "a number of bytes");
    }
    target = value.get<std::uint64_t>();
  }

  template <typename Period>
  static void assign(const char* name, const json& value,
                     std::chrono::duration<std::int64_t, Period>& target) {
    constexpr double kMax = 1e9;  // Thirty years.
    if (!value.is_number() || value.get<double>() < 0 || value.get<double>() > kMax) {
      refuse(name, "a number of seconds");
    }
    const std::chrono::duration<double> seconds(value.get<double>());
    target = std::chrono::round<std::chrono::duration<std::int64_t, Period>>(seconds);
  }

  static void assign(const char* name, const json& value, std::string& target) {
    if (!value.is_string()) refuse(name, "a string");
    target = value.get<std::string>();
    if (target.find('\0') != target.npos) refuse(name, "a string without a zero byte");
  }

  static void assign(const char* name, const json& value, fs::path& target) {
    std::string text;
    assign(name, value, text);
    if (text.empty()) refuse(name, "a path");
    target = std::move(text);
  }

  template <typename T>
  static void assign(const char* name, const json& value, std::vector<T>& target) {
    if (!value.is_array()) refuse(name, "a list");
    target.clear();
    for (const json& element : value) assign(name, element, target.emplace_back());
  }

  template <typename T>
  static void assign(const char* name, const json& value, std::optional<T>& target) {
    assign(name, value, target.emplace());
  }

  json object_;
};

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
  std::string network = "none";
  std::optional<std::string> kvm;
  fields.read("cpus", machine.cpus);
  fields.read("memory_mib", machine.memory_mib);
  fields.read("disk_mib", machine.disk_mib);
  fields.read("network", network);
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
  const auto kind = parse_network(network);
  if (!kind) Fields::refuse("network", "one of: none, user, user+host");
  machine.network = *kind;
  if (kvm && *kvm != "never" && *kvm != "required") {
    Fields::refuse("kvm", "one of: never, required");
  }
  if (kvm) machine.kvm = *kvm == "never" ? KvmUse::never : KvmUse::required;
  return choice;
}

CommandOptions parse_command_options(std::string_view text) {
  Fields fields(text);
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
  fields.refuse_rest();
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
