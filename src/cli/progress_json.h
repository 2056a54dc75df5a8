// A pull as JSON objects, for programs that show it their own way.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "cli/json_output.h"
#include "cli/progress.h"
#include "cli/transfer.h"

namespace pyro::cli {

/// Where the events go. What it throws is dropped, and the event with it.
using EventSink = std::function<void(const Json& event)>;

/// Every event has "event" and "environment": "started" with "source", "progress" with
/// "received_bytes" and "total_bytes" (null while unknown) at most ten times a second,
/// "committing", "finished" with "received_bytes" and "installed_bytes", "retrying" with "message"
/// and "pause_seconds", "waiting" with "holder" (a process id or null). "warning" and "note" have a
/// "message" instead of an environment.
class ProgressJson : public ProgressView {
 public:
  ProgressJson(EventSink sink, Clock clock);

  void expecting(std::uint64_t compressed_bytes) noexcept override;
  void received(std::uint64_t compressed_bytes) noexcept override;
  void committing() noexcept override;
  void finished(std::string_view environment, std::uint64_t received_bytes,
                std::uint64_t installed_bytes) noexcept override;
  void retrying(std::string_view environment, std::string_view why,
                std::chrono::milliseconds pause) noexcept override;
  void waiting(std::string_view environment, std::optional<int> holder) noexcept override;
  void warning(std::string_view text) noexcept override;

 private:
  void begin(std::string_view environment, std::string_view source) noexcept override;
  void show_note(std::string_view text) noexcept override;
  void progress();

  EventSink sink_;
  Clock clock_;
  Transfer transfer_;
  std::optional<TimePoint> last_line_;
};

}  // namespace pyro::cli
