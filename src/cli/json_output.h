// The JSON documents that pyro prints.
//
// Source: the payloads of the reference (vm_environments.py) for names and null rules; spec
// sections 8 and 9 for what is added.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/cache.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"
#include "pyro/image_layout.h"
#include "pyro/updates.h"

namespace pyro::cli {

/// Keys in the order they are added: a document begins with the name.
using Json = nlohmann::ordered_json;

[[nodiscard]] Json inspect_payload(const EnvironmentStatus& status);
[[nodiscard]] Json pull_payload(const EnvironmentStatus& status);
[[nodiscard]] Json list_payload(const std::vector<EnvironmentStatus>& statuses);
[[nodiscard]] Json verify_payload(const VerifyReport& report);
[[nodiscard]] Json prune_payload(const PruneReport& report);
/// `file` is where it was written to.
[[nodiscard]] Json export_payload(const std::string& file, const ExportReport& report);

/// list_payload() of what is installed, with "newest_digest", "newer_available" and "error".
[[nodiscard]] Json updates_payload(const std::vector<UpdateStatus>& updates);
[[nodiscard]] Json usage_payload(const CacheUsage& usage, const std::string& cache_dir);
/// `entry_removed`: from the user's catalog.
[[nodiscard]] Json removal_payload(std::string_view name, const RemovalReport& report,
                                   bool entry_removed);

/// {"code", "message", "hint"}
[[nodiscard]] Json error_payload(const Error& error);

/// What stands for `name` in an array where its siblings succeeded: {"name", "error"}.
[[nodiscard]] Json failure_payload(std::string_view name, const Error& error);

/// The text of a document, two-space indent, newline at the end. Bytes that are not UTF-8 become
/// U+FFFD: JSON has no other way.
[[nodiscard]] std::string render_json(const Json& document);

/// One line without indent.
[[nodiscard]] std::string render_json_line(const Json& document);

}  // namespace pyro::cli
