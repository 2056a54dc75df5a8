// The JSON documents that pyro prints.
#include "cli/json_output.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "cli/printable.h"
#include "cli/sizes.h"

namespace pyro::cli {
namespace {

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
  payload["installed"] = status.installed.has_value();
  payload["cache_dir"] = status.cache_dir.string();
  payload["install_dir"] = status.install_dir.string();
  if (!status.installed) return payload;
  payload["install_manifest"] = (status.install_dir / "environment.json").string();
  payload["installed_bytes"] = or_null(status.installed_bytes);
  payload["installed_digest"] = or_null(status.installed->source_digest);
  if (status.outdated) payload["outdated"] = true;
  return payload;
}

Json pull_payload(const EnvironmentStatus& status) {
  Json payload = inspect_payload(status);
  if (!status.installed) return payload;
  payload["install_dir"] = status.installed->install_dir.string();
  payload["kernel_image"] = status.installed->kernel_image.string();
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
  return {{"deleted_environment_dirs", report.deleted_environment_dirs},
          {"count", report.deleted_environment_dirs.size()},
          {"bytes_reclaimed", report.bytes_reclaimed},
          {"skipped_in_use", report.skipped_in_use},
          {"skipped_other_catalog", report.skipped_other_catalog},
          {"failed", std::move(failed)},
          {"dry_run", report.dry_run}};
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
                            {"prepared_bytes", install.prepared_bytes},
                            {"last_used", last_used}});
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

std::string render_json(const Json& document) {
  return printable_json(document.dump(2, ' ', false, Json::error_handler_t::replace)) + '\n';
}

std::string render_json_line(const Json& document) {
  return printable_json(document.dump(-1, ' ', false, Json::error_handler_t::replace)) + '\n';
}

}  // namespace pyro::cli
