// The display of a running pull.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "front/documents.h"

namespace pyro::cli {

enum class ProgressKind { automatic, tty, plain, json, none };

/// "auto", "tty", "plain", "json", "none".
[[nodiscard]] std::optional<ProgressKind> parse_progress_kind(std::string_view text);

/// The numbers of one pull, fed with the events of a ProgressListener.
class Transfer {
 public:
  Transfer() = default;
  Transfer(std::string_view environment, TimePoint start)
      : environment_(environment), start_(start) {}

  void expect(std::uint64_t total) { total_ = total; }
  void receive(std::uint64_t received, TimePoint now);

  [[nodiscard]] const std::string& environment() const noexcept { return environment_; }
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  [[nodiscard]] std::optional<std::uint64_t> total() const noexcept { return total_; }

  /// From 0 to 1, where the total is known.
  [[nodiscard]] std::optional<double> fraction() const;

  /// Bytes per second over the last few seconds; nothing before there is enough to measure.
  [[nodiscard]] std::optional<double> rate() const;

  [[nodiscard]] std::optional<std::chrono::duration<double>> time_left() const;

  /// "350.1 MiB in 2.1 s (166.7 MiB/s), 352.0 MiB on disk"; in fewer columns without the rate, then
  /// without the first part.
  [[nodiscard]] std::string summary(std::uint64_t installed_bytes, TimePoint now,
                                    std::size_t columns = std::string::npos) const;

 private:
  struct Sample {
    TimePoint time;
    std::uint64_t received;
  };

  std::string environment_;
  TimePoint start_;
  std::uint64_t received_ = 0;
  std::optional<std::uint64_t> total_;
  std::deque<Sample> samples_;
};

/// "112.4 MiB/s"
[[nodiscard]] std::string format_rate(double bytes_per_second);

/// Clears a view when a pull ends, however it ends. The view may be null.
class ClearAtEnd {
 public:
  explicit ClearAtEnd(ProgressView* view) noexcept : view_(view) {}
  ClearAtEnd(const ClearAtEnd&) = delete;
  ClearAtEnd& operator=(const ClearAtEnd&) = delete;
  ~ClearAtEnd() {
    if (view_ != nullptr) view_->clear();
  }

 private:
  ProgressView* view_;
};

/// Returns a view that draws on `terminal`, which must outlive it:
/// - tty: one line, redrawn at most ten times a second; a finished pull leaves its summary;
/// - plain: a line at start and end, and one every 10 % or 5 seconds, whichever comes first;
/// - json: ProgressEvents, one a line;
/// - none: warnings and notes only;
/// - automatic: tty on an interactive terminal, else plain.
[[nodiscard]] std::unique_ptr<ProgressView> make_progress(
    ProgressKind kind, const Terminal& terminal, Clock clock = std::chrono::steady_clock::now);

/// The options of commands that install: --progress and --quiet.
class ProgressArguments {
 public:
  void declare(Arguments& arguments);

  /// Null with --quiet.
  [[nodiscard]] std::unique_ptr<ProgressView> make_view(const Context& context) const;

  /// Prints "NAME: what" where progress is shown to people.
  void say(const Context& context, std::string_view name, std::string_view what) const;

 private:
  ProgressKind kind_ = ProgressKind::automatic;
  bool quiet_ = false;
};

/// For commands without progress: warnings, and notes with -v.
[[nodiscard]] std::unique_ptr<ProgressView> make_warning_view(const Context& context);

/// For commands without --progress: progress, but beside a JSON document only warnings and notes.
[[nodiscard]] std::unique_ptr<ProgressView> make_progress_view(bool json, const Context& context);

}  // namespace pyro::cli
