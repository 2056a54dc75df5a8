// What a pull looks like while it runs: the choice between the four ways to show it.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/terminal.h"
#include "pyro/progress.h"

namespace pyro::cli {

enum class ProgressKind { automatic, tty, plain, json, none };

/// "auto", "tty", "plain", "json", "none".
[[nodiscard]] std::optional<ProgressKind> parse_progress_kind(std::string_view text);

using TimePoint = std::chrono::steady_clock::time_point;
using Clock = std::function<TimePoint()>;

/// "waiting for process 42, which is at work on it"
[[nodiscard]] std::string waiting_text(std::optional<int> holder);

/// A listener that draws; one serves pull after pull.
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

  /// How much is shown besides: nothing, 1: notes, 2: details, too.
  void set_verbosity(int verbosity) noexcept { verbosity_ = verbosity; }

  /// How many pulls began: installed environments are answered without one.
  [[nodiscard]] int pulls() const noexcept { return pulls_; }

  /// Takes what is half drawn from the screen, before something else is printed there.
  virtual void clear() noexcept {}

 private:
  /// What started() shows.
  virtual void begin(std::string_view, std::string_view) noexcept {}
  virtual void show_note(std::string_view text) noexcept = 0;

  int pulls_ = 0;
  int verbosity_ = 0;
};

/// Half a line on the screen must go, however a pull ends.
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

/// `automatic` is a bar where somebody is looking, else lines. Draws on `terminal`, which must
/// outlive the view.
[[nodiscard]] std::unique_ptr<ProgressView> make_progress(ProgressKind kind,
                                                          const Terminal& terminal);

}  // namespace pyro::cli
