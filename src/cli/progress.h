// The display of running pulls and other operations.
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

using Seconds = std::chrono::duration<double>;

/// Between two figures of a line.
inline constexpr std::string_view kFigureGap = "  ";

/// The numbers of one pull or operation, fed with the events of a ProgressListener.
class Transfer {
 public:
  Transfer() = default;
  /// `title` is what it is called in front of the numbers: the environment of a pull.
  Transfer(std::string_view title, TimePoint start) : title_(title), start_(start) {}

  void expect(std::uint64_t total) { total_ = total; }
  void receive(std::uint64_t received, TimePoint now);

  [[nodiscard]] const std::string& title() const noexcept { return title_; }
  [[nodiscard]] TimePoint start() const noexcept { return start_; }
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  [[nodiscard]] std::optional<std::uint64_t> total() const noexcept { return total_; }

  /// From 0 to 1, where the total is known.
  [[nodiscard]] std::optional<double> fraction() const;

  /// Bytes per second over the last few seconds; nothing before there is enough to measure.
  [[nodiscard]] std::optional<double> rate() const;

  [[nodiscard]] std::optional<Seconds> time_left() const;

  /// "12 s", since its start.
  [[nodiscard]] std::string elapsed(TimePoint now) const;

  /// " 30 %  30.0 of 100.0 MiB  50.0 MiB/s  2 s left", as far as it fits into `columns`.
  [[nodiscard]] std::string figures(std::size_t columns) const;

  /// "30 %, 30.0 of 100.0 MiB, 50.0 MiB/s"
  [[nodiscard]] std::string figures_in_log() const;

  /// "350.1 MiB in 2.1 s (166.7 MiB/s), 352.0 MiB on disk"; in fewer columns without the rate, then
  /// without the first part.
  [[nodiscard]] std::string summary(std::uint64_t installed_bytes, TimePoint now,
                                    std::size_t columns = std::string::npos) const;

 private:
  struct Sample {
    TimePoint time;
    std::uint64_t received;
  };

  std::string title_;
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
/// - automatic: tty on an interactive terminal, else plain for pulls, and nothing for other
///   operations.
///
/// Nothing is shown of an operation in its first second, and its line is gone at its end. The view
/// calls its tick() from a thread of its own while an operation runs. With a `clock`, the caller
/// has to call it.
[[nodiscard]] std::unique_ptr<ProgressView> make_progress(ProgressKind kind,
                                                          const Terminal& terminal,
                                                          const Clock& clock = {});

/// The options of commands that may take over a second: --progress and --quiet.
class ProgressArguments {
 public:
  void declare(Arguments& arguments);

  /// The view, which from here on also shows the warnings of the store in `context`. Null with
  /// --quiet.
  [[nodiscard]] std::unique_ptr<ProgressView> make_view(Context& context) const;

  /// Prints "NAME: what" where progress is shown to people.
  void say(const Context& context, std::string_view name, std::string_view what) const;

 private:
  ProgressKind kind_ = ProgressKind::automatic;
  bool quiet_ = false;
};

/// For commands without progress: warnings, and notes with -v.
[[nodiscard]] std::unique_ptr<ProgressView> make_warning_view(const Context& context);

}  // namespace pyro::cli
