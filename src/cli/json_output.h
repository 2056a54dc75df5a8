// The JSON documents that pyro prints.
//
// Source: the payloads of the reference (vm_environments.py) for names and null rules; spec
// sections 8 and 9 for what is added.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/digest.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"
#include "pyro/image_layout.h"

namespace pyro::cli {

/// Keys in the order they are added: a document begins with the name.
using Json = nlohmann::ordered_json;

/// What need not be there is null where it is not.
[[nodiscard]] Json or_null(const std::optional<bool>& value);
[[nodiscard]] Json or_null(const std::optional<int>& value);
[[nodiscard]] Json or_null(const std::optional<std::uint64_t>& value);
[[nodiscard]] Json or_null(const std::optional<std::string>& value);
[[nodiscard]] Json or_null(const std::optional<std::filesystem::path>& value);
[[nodiscard]] Json or_null(const std::optional<Digest>& value);

/// What the catalog has of it that is public: the reference's _serialize_environment().
[[nodiscard]] Json environment_payload(const Environment& environment);

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
/// U+FFFD: JSON has no other way. What could act on a terminal is escaped.
[[nodiscard]] std::string render_json(const Json& document);

/// One line without indent.
[[nodiscard]] std::string render_json_line(const Json& document);

}  // namespace pyro::cli
