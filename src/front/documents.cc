// Output for programs: JSON documents and progress events.
#include "front/documents.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "front/text.h"

namespace pyro {
namespace {

constexpr std::chrono::milliseconds kBetweenEvents{100};

template <typename T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json artifact_payload(const ArtifactReport& artifact) {
  return {{"name", artifact.name},
          {"status", to_string(artifact.verdict)},
          {"size", or_null(artifact.size)},
          {"digest", or_null(artifact.digest)}};
}

Json catalog_entry_payload(const Environment& environment) {
  Json entry = environment_payload(environment);
  entry["source_profile"] = environment.source_profile;
  entry["source_url"] = or_null(environment.source_url);
  entry["oci_digest"] = or_null(environment.oci_digest);
  entry["source_sha256"] = or_null(environment.source_sha256);
  return entry;
}

/// A listener throws nothing. Without memory an event is lost, and the work goes on.
template <typename Work>
void attempt(const Work& work) noexcept {
  try {
    work();
  } catch (...) {  // NOLINT(bugprone-empty-catch): as said.
  }
}

Json states_payload(const std::vector<StateUsage>& states) {
  Json list = Json::array();
  for (const StateUsage& state : states) {
    list.push_back({{"name", state.name}, {"disk_bytes", state.bytes}});
  }
  return list;
}

/// A container image has none.
Json kernel_or_null(const InstalledEnvironment& installed) {
  return installed.kernel_image.empty() ? Json() : Json(installed.kernel_image.string());
}

double seconds_of(std::chrono::microseconds time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

Json or_null(const std::optional<bool>& value) {
  return value_or_null(value);
}

Json or_null(const std::optional<int>& value) {
  return value_or_null(value);
}

Json or_null(const std::optional<std::uint64_t>& value) {
  return value_or_null(value);
}

Json or_null(const std::optional<std::string>& value) {
  return value_or_null(value);
}

Json or_null(const std::optional<std::filesystem::path>& value) {
  return value ? Json(value->string()) : Json(nullptr);
}

Json or_null(const std::optional<Digest>& value) {
  return value ? Json(value->to_string()) : Json(nullptr);
}

Json environment_payload(const Environment& environment) {
  return {{"name", environment.name},
          {"version", environment.version},
          {"description", environment.description},
          {"default_packages", environment.default_packages},
          {"distribution", environment.distribution},
          {"distribution_version", environment.distribution_version},
          {"platform", environment.platform},
          {"oci_registry", or_null(environment.oci_registry)},
          {"oci_repository", or_null(environment.oci_repository)},
          {"oci_reference", or_null(environment.oci_reference)},
          {"source_digest", or_null(environment.source_digest)},
          {"compatibility", environment.compatibility}};
}

Json inspect_payload(const EnvironmentStatus& status) {
  Json payload = environment_payload(status.environment);
  payload["compatible"] = status.environment.compatible();
  payload["catalog_version"] = kCatalogVersion;
  if (status.environment.kind == EnvironmentKind::container) {
    payload["kind"] = "container";
    payload["base"] = or_null(status.base);
  }
  payload["installed"] = status.installed.has_value();
  payload["cache_dir"] = status.cache_dir.string();
  payload["install_dir"] = status.install_dir.string();
  // Else the source is in the fields oci_*, or in the catalog: its URL may hold a secret.
  if (status.environment.source_url == kStandardInputUrl) payload["source"] = kStandardInput;
  if (!status.installed) return payload;
  payload["install_manifest"] = (status.install_dir / "environment.json").string();
  payload["installed_bytes"] = or_null(status.installed_bytes);
  payload["installed_digest"] = or_null(status.installed->source_digest);
  if (status.outdated) payload["outdated"] = true;
  if (!status.states.empty()) payload["states"] = states_payload(status.states);
  return payload;
}

Json pull_payload(const EnvironmentStatus& status) {
  Json payload = inspect_payload(status);
  if (!status.installed) return payload;
  payload["install_dir"] = status.installed->install_dir.string();
  payload["kernel_image"] = kernel_or_null(*status.installed);
  payload["rootfs_image"] = status.installed->rootfs_image.string();
  payload["initrd_image"] = or_null(status.installed->initrd_image);
  payload["source"] = status.installed->source;
  return payload;
}

Json list_payload(const std::vector<EnvironmentStatus>& statuses) {
  Json environments = Json::array();
  for (const EnvironmentStatus& status : statuses) environments.push_back(inspect_payload(status));
  return {{"catalog_version", kCatalogVersion}, {"environments", std::move(environments)}};
}

Json verify_payload(const VerifyReport& report) {
  Json artifacts = Json::array();
  for (const ArtifactReport& artifact : report.artifacts) {
    artifacts.push_back(artifact_payload(artifact));
  }
  return {{"name", report.name},
          {"version", report.version},
          {"status", to_string(report.verdict)},
          {"artifacts", std::move(artifacts)}};
}

Json prune_payload(const PruneReport& report) {
  Json failed = Json::array();
  for (const PruneReport::Failure& failure : report.failed) {
    failed.push_back({{"name", failure.name}, {"error", failure.error}});
  }
  Json payload = {{"deleted_environment_dirs", report.deleted_environment_dirs},
                  {"count", report.deleted_environment_dirs.size()},
                  {"bytes_reclaimed", report.bytes_reclaimed},
                  {"skipped_in_use", report.skipped_in_use},
                  {"skipped_other_catalog", report.skipped_other_catalog},
                  {"failed", std::move(failed)},
                  {"dry_run", report.dry_run}};
  if (!report.skipped_bases.empty()) payload["skipped_bases"] = report.skipped_bases;
  return payload;
}

Json export_payload(const std::string& file, const ExportReport& report) {
  Json environments = Json::array();
  for (const ExportedEnvironment& exported : report.environments) {
    environments.push_back({{"name", exported.name},
                            {"version", exported.version},
                            {"digest", exported.digest.to_string()},
                            {"bytes", exported.bytes},
                            {"verified", exported.verified}});
  }
  return {{"file", file}, {"bytes", report.bytes}, {"environments", std::move(environments)}};
}

Json machine_payload(const MachineInfo& machine) {
  Json ports = Json::array();
  for (const PortOptions& port : machine.ports) {
    ports.push_back(
        {{"address", port.address}, {"port", port.port}, {"guest_port", port.guest_port}});
  }
  return {{"name", machine.environment},
          {"version", machine.version},
          {"started", to_string(machine.start)},
          {"accelerator", to_string(machine.accelerator)},
          {"cpus", machine.cpus},
          {"memory_mib", machine.memory_mib},
          {"ready_seconds", seconds_of(machine.ready_after)},
          {"ports", std::move(ports)}};
}

Json workspace_payload(const WorkspaceStatus& status) {
  return {{"name", status.name},
          {"environment", status.environment},
          {"version", status.version},
          {"state", to_string(status.activity)},
          {"processes", status.running_processes},
          {"cpus", status.cpus},
          {"memory_mib", status.memory_mib},
          {"disk_mib", status.disk_mib},
          {"network", to_string(status.network)},
          {"idle_seconds", status.idle.count()},
          {"idle_with_processes", status.idle_with_processes},
          {"created", format_time(status.created)},
          {"last_used", format_time(status.last_used)},
          {"expires", status.expires ? Json(format_time(*status.expires)) : Json(nullptr)},
          {"unexported_changes", status.has_changes},
          {"disk_bytes", status.disk_bytes},
          {"snapshots", status.snapshots}};
}

Json snapshot_payload(const WorkspaceSnapshot& snapshot) {
  return {{"name", snapshot.name},
          {"made", format_time(snapshot.made)},
          {"has_memory", snapshot.has_memory},
          {"disk_bytes", snapshot.disk_bytes}};
}

Json snapshot_payload(const TakenSnapshot& taken) {
  return {{"name", taken.name}, {"paused_seconds", seconds_of(taken.paused)}};
}

Json diff_payload(const WorkspaceDiff& diff) {
  Json files = Json::array();
  for (const FileChange& file : diff.files) {
    files.push_back({{"path", file.path},
                     {"binary", file.is_binary},
                     {"added", file.added},
                     {"removed", file.removed}});
  }
  return {{"files", std::move(files)}, {"patch", diff.patch}};
}

Json process_payload(const WorkspaceProcess& process) {
  return {{"process", process.number},
          {"command", process.command},
          {"started", format_time(process.started)},
          {"running", !process.end},
          {"exit_code", process.end ? Json(process.end->exit_code) : Json(nullptr)}};
}

Json command_payload(const CommandReport& report) {
  return {{"exit_code", report.exit_code},
          {"signal", report.signal != 0 ? Json(report.signal) : Json(nullptr)},
          {"timed_out", report.timed_out},
          {"interrupted", report.interrupted},
          {"refusal", report.refusal.empty() ? Json(nullptr) : Json(report.refusal)},
          {"seconds", seconds_of(report.command_time)}};
}

Json updates_payload(const std::vector<UpdateStatus>& updates) {
  Json environments = Json::array();
  for (const UpdateStatus& update : updates) {
    Json payload = inspect_payload(update.status);
    payload["newest_digest"] = or_null(update.newest_digest);
    payload["newer_available"] = or_null(update.newer_available);
    payload["error"] = update.error ? error_payload(*update.error) : Json(nullptr);
    environments.push_back(std::move(payload));
  }
  return {{"catalog_version", kCatalogVersion}, {"environments", std::move(environments)}};
}

Json usage_payload(const CacheUsage& usage, const std::string& cache_dir) {
  Json environments = Json::array();
  for (const InstallUsage& install : usage.installs) {
    const Json last_used =
        install.last_used ? Json(format_time(*install.last_used)) : Json(nullptr);
    environments.push_back({{"name", or_null(install.name)},
                            {"version", or_null(install.version)},
                            {"directory", install.directory},
                            {"disk_bytes", install.disk_bytes},
                            {"prepared_bytes", bytes_of(install.states)},
                            {"states", states_payload(install.states)},
                            {"last_used", last_used}});
    if (install.base) environments.back()["base"] = *install.base;
  }
  return {{"cache_dir", cache_dir},
          {"environments", std::move(environments)},
          {"partial_bytes", usage.partial_bytes},
          {"staging_bytes", usage.staging_bytes},
          {"other_bytes", usage.other_bytes},
          {"total_bytes", usage.total_bytes}};
}

Json removal_payload(std::string_view name, const RemovalReport& report, bool entry_removed) {
  return {{"name", name},
          {"removed", report.removed},
          {"bytes_reclaimed", report.bytes_reclaimed},
          {"entry_removed", entry_removed}};
}

Json error_payload(const Error& error) {
  const Json hint = error.hint().empty() ? Json(nullptr) : Json(error.hint());
  return {{"code", to_string(error.code())}, {"message", error.what()}, {"hint", hint}};
}

Json failure_payload(std::string_view name, const Error& error) {
  return {{"name", name}, {"error", error_payload(error)}};
}

Json store_payload(const StoreOptions& options) {
  Json files = Json::array();
  for (const auto& file : options.catalog.files()) files.push_back(file.string());
  Json entries = Json::array();
  for (const Environment& environment : options.catalog.environments()) {
    entries.push_back(catalog_entry_payload(environment));
  }
  return {{"cache_dir", options.cache_dir.string()},
          {"runtime_dir", or_null(options.runtime_dir)},
          {"catalog_version", kCatalogVersion},
          {"catalog_files", std::move(files)},
          {"environments", std::move(entries)}};
}

Json installed_payload(const InstalledEnvironment& installed) {
  return {{"name", installed.name},
          {"version", installed.version},
          {"install_dir", installed.install_dir.string()},
          {"kernel_image", kernel_or_null(installed)},
          {"rootfs_image", installed.rootfs_image.string()},
          {"initrd_image", or_null(installed.initrd_image)},
          {"source", installed.source},
          {"source_digest", or_null(installed.source_digest)}};
}

std::string render_json(const Json& document) {
  return printable_json(document.dump(2, ' ', false, Json::error_handler_t::replace)) + '\n';
}

std::string render_json_line(const Json& document) {
  return printable_json(document.dump(-1, ' ', false, Json::error_handler_t::replace)) + '\n';
}

ProgressEvents::ProgressEvents(EventSink sink, Clock clock)
    : sink_(std::move(sink)), clock_(std::move(clock)) {}

void ProgressEvents::begin(std::string_view environment, std::string_view source) noexcept {
  attempt([&] {
    environment_ = environment;
    received_ = 0;
    total_.reset();
    last_sent_.reset();
    sink_({{"event", "started"}, {"environment", environment}, {"source", source}});
  });
}

void ProgressEvents::expecting(std::uint64_t compressed_bytes) noexcept {
  total_ = compressed_bytes;
  attempt([&] { send_progress(); });
}

void ProgressEvents::received(std::uint64_t compressed_bytes) noexcept {
  received_ = compressed_bytes;
  attempt([&] {
    if (is_due()) send_progress();
  });
}

bool ProgressEvents::is_due() {
  const TimePoint now = clock_();
  if (last_sent_ && now - *last_sent_ < kBetweenEvents) return false;
  last_sent_ = now;
  return true;
}

void ProgressEvents::send_progress() {
  sink_({{"event", "progress"},
         {"environment", environment_},
         {"received_bytes", received_},
         {"total_bytes", or_null(total_)}});
}

void ProgressEvents::committing() noexcept {
  attempt([&] { sink_({{"event", "committing"}, {"environment", environment_}}); });
}

void ProgressEvents::finished(std::string_view environment, std::uint64_t received_bytes,
                              std::uint64_t installed_bytes) noexcept {
  attempt([&] {
    sink_({{"event", "finished"},
           {"environment", environment},
           {"received_bytes", received_bytes},
           {"installed_bytes", installed_bytes}});
  });
}

void ProgressEvents::retrying(std::string_view environment, std::string_view why,
                              std::chrono::milliseconds pause) noexcept {
  attempt([&] {
    sink_({{"event", "retrying"},
           {"environment", environment},
           {"message", why},
           {"pause_seconds", static_cast<double>(pause.count()) / 1000}});
  });
}

void ProgressEvents::waiting(std::string_view environment, std::optional<int> holder) noexcept {
  attempt([&] {
    sink_({{"event", "waiting"}, {"environment", environment}, {"holder", or_null(holder)}});
  });
}

void ProgressEvents::prepared(std::string_view environment) noexcept {
  attempt([&] { sink_({{"event", "prepared"}, {"environment", environment}}); });
}

void ProgressEvents::published(std::string_view address, std::uint16_t port,
                               std::uint16_t guest_port) noexcept {
  attempt([&] {
    sink_(
        {{"event", "published"}, {"address", address}, {"port", port}, {"guest_port", guest_port}});
  });
}

void ProgressEvents::operation_started(const Operation& operation) noexcept {
  attempt([&] {
    operation_ = {.name = std::string(operation.name),
                  .subject = std::string(operation.subject),
                  .detail = std::string(operation.detail),
                  .unit = operation.unit,
                  .total = operation.total};
    last_sent_.reset();
    send_operation("operation_started");
  });
}

void ProgressEvents::operation_detail(std::string_view detail) noexcept {
  attempt([&] {
    operation_.detail = detail;
    send_operation("operation_progress");
  });
}

void ProgressEvents::operation_advanced(std::uint64_t done) noexcept {
  operation_.done = done;
  attempt([&] {
    if (is_due()) send_operation("operation_progress");
  });
}

void ProgressEvents::operation_finished() noexcept {
  attempt([&] { send_operation("operation_finished"); });
}

void ProgressEvents::send_operation(std::string_view event) {
  sink_({{"event", event},
         {"operation", operation_.name},
         {"subject", operation_.subject},
         {"detail", operation_.detail.empty() ? Json(nullptr) : Json(operation_.detail)},
         {"unit", to_string(operation_.unit)},
         {"done", operation_.done},
         {"total", or_null(operation_.total)}});
}

void ProgressEvents::warning(std::string_view text) noexcept {
  attempt([&] { sink_({{"event", "warning"}, {"message", text}}); });
}

void ProgressEvents::show_note(std::string_view text) noexcept {
  attempt([&] { sink_({{"event", "note"}, {"message", text}}); });
}

}  // namespace pyro
