// The ways to show progress: a line that is redrawn, lines of a log, JSON events, or warnings
// alone.
#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

#include "cli/output.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

/// Nothing is shown of an operation that is over by then.
constexpr std::chrono::seconds kUnshown{1};
constexpr std::chrono::milliseconds kBetweenDraws{100};
constexpr std::size_t kMaxBar = 30;
constexpr std::size_t kMinBar = 8;
/// "100 %  350.0 of 350.0 MiB  112.4 MiB/s  12 s left"
constexpr std::size_t kFiguresWidth = 50;
constexpr std::size_t kPercentageWidth = 5;
constexpr std::string_view kErase = "\r\x1b[K";

constexpr std::chrono::seconds kMaxSilence{5};

std::string repeat(std::string_view piece, std::size_t count) {
  std::string text;
  while (count-- > 0) text += piece;
  return text;
}

/// "waiting for process 42, which is at work on it"
std::string waiting_text(std::optional<int> holder) {
  const std::string who = holder ? "process " + std::to_string(*holder) : "another process";
  return "waiting for " + who + ", which is at work on it";
}

/// Calls a function ten times a second, on a thread of its own, while it is on.
class Ticker {
 public:
  explicit Ticker(std::function<void()> tick) : tick_(std::move(tick)) {}

  void turn(bool on) {
    {
      const std::lock_guard lock(mutex_);
      on_ = on;
      if (on && !thread_.joinable()) {
        thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
      }
    }
    changed_.notify_one();
  }

 private:
  void run(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return on_; }) && !stop.stop_requested()) {
      if (changed_.wait_for(lock, stop, kBetweenDraws, [&] { return !on_; })) continue;
      lock.unlock();
      tick_();
      lock.lock();
    }
  }

  const std::function<void()> tick_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  bool on_ = false;
  std::jthread thread_;  // last: it uses all the others
};

/// Shows warnings and notes, and no progress.
class WarningView : public ProgressView {
 public:
  explicit WarningView(const Terminal& terminal) : terminal_(terminal) {}

  void warning(std::string_view text) noexcept override {
    write_line(render_warning(text, terminal_));
  }

  void published(std::string_view address, std::uint16_t port,
                 std::uint16_t guest_port) noexcept override {
    show_note(
        fmt::format("port {} of {} goes to port {} of the machine", port, address, guest_port));
  }

  void clear() noexcept override {
    const std::lock_guard lock(mutex_);
    erase();
  }

 protected:
  /// With the mutex held: takes the drawn line from the screen.
  virtual void erase() noexcept {}

  void show_note(std::string_view text) noexcept override { write_line(render_note(text)); }

  const Terminal& terminal_;
  std::mutex mutex_;  ///< Of the terminal, and of what tick() uses.

 private:
  void write_line(const std::string& line) noexcept {
    const std::lock_guard lock(mutex_);
    erase();
    terminal_.try_write(line);
  }
};

/// What a view keeps of a running operation.
struct ShownOperation {
  Transfer transfer;
  ProgressUnit unit = ProgressUnit::steps;
  std::string detail;
  bool is_shown = false;  ///< Since its first second has passed.

  /// "booting debian:12 (no KVM: emulated)"
  [[nodiscard]] std::string title() const {
    return transfer.title() + (detail.empty() ? "" : " (" + detail + ')');
  }
};

/// Follows a pull, or an operation, which tick() shows.
class LiveView : public WarningView {
 public:
  /// With a `clock`, the caller calls tick().
  LiveView(const Terminal& terminal, const Clock& clock)
      : WarningView(terminal), clock_(clock ? clock : Clock(std::chrono::steady_clock::now)) {
    if (!clock) ticker_.emplace([this] { LiveView::tick(); });
  }

  void expecting(std::uint64_t compressed_bytes) noexcept override {
    transfer_.expect(compressed_bytes);
  }

  void prepared(std::string_view environment) noexcept override {
    show_note(fmt::format("{} is prepared: its next runs resume", environment));
  }

  void operation_started(const Operation& operation) noexcept final {
    {
      const std::lock_guard lock(mutex_);
      const std::string title = std::string(operation.name) + ' ' + printable(operation.subject);
      operation_ = ShownOperation{.transfer = Transfer(title, clock_()),
                                  .unit = operation.unit,
                                  .detail = printable(operation.detail)};
      if (operation.total) operation_->transfer.expect(*operation.total);
      done_ = 0;
    }
    turn_ticker(true);
  }

  void operation_detail(std::string_view detail) noexcept final {
    const std::lock_guard lock(mutex_);
    if (operation_) operation_->detail = printable(detail);
  }

  void operation_advanced(std::uint64_t done) noexcept final {
    done_.store(done, std::memory_order_relaxed);
  }

  void operation_finished() noexcept final {
    turn_ticker(false);
    const std::lock_guard lock(mutex_);
    if (operation_ && operation_->is_shown) erase();
    operation_.reset();
  }

  void tick() noexcept final {
    const std::lock_guard lock(mutex_);
    if (!operation_) return;
    const TimePoint now = clock_();
    operation_->transfer.receive(done_.load(std::memory_order_relaxed), now);
    if (now - operation_->transfer.start() < kUnshown) return;
    show(*operation_, now);
    operation_->is_shown = true;
  }

 protected:
  /// With the mutex held.
  virtual void show(const ShownOperation& operation, TimePoint now) noexcept = 0;

  const Clock clock_;
  Transfer transfer_;  ///< Of the pull.

 private:
  /// Without a thread nothing is shown of the operation, which goes on.
  void turn_ticker(bool on) noexcept try {
    if (ticker_) ticker_->turn(on);
  } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): as said.
  }

  std::optional<ShownOperation> operation_;
  std::atomic<std::uint64_t> done_ = 0;
  std::optional<Ticker> ticker_;  // last: it uses all the others
};

/// One line on a terminal, drawn again and again.
class ProgressBar final : public LiveView {
 public:
  using LiveView::LiveView;
  ~ProgressBar() override { erase(); }

  void received(std::uint64_t compressed_bytes) noexcept override;
  void finished(std::string_view environment, std::uint64_t received_bytes,
                std::uint64_t installed_bytes) noexcept override;

  void committing() noexcept override { draw_note(transfer_.title(), "writing to disk"); }

  void retrying(std::string_view environment, std::string_view why,
                std::chrono::milliseconds pause) noexcept override {
    draw_note(environment, fmt::format("trying again in {}: {}", format_duration(pause), why));
  }

  void waiting(std::string_view environment, std::optional<int> holder) noexcept override {
    draw_note(environment, waiting_text(holder));
  }

 private:
  void begin(std::string_view environment, std::string_view source) noexcept override {
    transfer_ = Transfer(printable(environment), clock_());
    draw_note(environment, fmt::format("pulling from {}", source));
    drawn_.reset();
  }

  void erase() noexcept override {
    if (std::exchange(on_screen_, false)) terminal_.try_write(kErase);
  }

  void draw(const std::string& line) noexcept {
    on_screen_ = true;
    terminal_.try_write(std::string(kErase) + line);
  }

  void show(const ShownOperation& operation, TimePoint now) noexcept override;
  void draw_numbers(const std::string& title, const Transfer& transfer) noexcept;
  void draw_note(std::string_view environment, std::string_view note) noexcept;
  /// Whether the line was drawn long enough ago to be drawn once more.
  [[nodiscard]] bool is_due(TimePoint now);
  [[nodiscard]] std::string_view cut_mark() const { return terminal_.unicode() ? "\u2026" : "..."; }
  [[nodiscard]] std::string cut_name(const std::string& name) const;
  [[nodiscard]] static std::size_t width_of_bar(const Transfer& transfer, std::size_t room);
  [[nodiscard]] std::string bar(double fraction, std::size_t width) const;

  std::optional<TimePoint> drawn_;
  bool on_screen_ = false;
};

bool ProgressBar::is_due(TimePoint now) {
  if (drawn_ && now - *drawn_ < kBetweenDraws) return false;
  drawn_ = now;
  return true;
}

void ProgressBar::received(std::uint64_t compressed_bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const TimePoint now = clock_();
  transfer_.receive(compressed_bytes, now);
  if (is_due(now)) draw_numbers(transfer_.title(), transfer_);
}

void ProgressBar::show(const ShownOperation& operation, TimePoint now) noexcept {
  if (!is_due(now)) return;
  if (operation.unit == ProgressUnit::bytes) {
    return draw_numbers(operation.title(), operation.transfer);
  }
  draw(terminal_.paint(Colour::bold, cut_name(operation.title())) + std::string(kFigureGap) +
       operation.transfer.elapsed(now));
}

void ProgressBar::draw_numbers(const std::string& title, const Transfer& transfer) noexcept {
  const std::string name = cut_name(title);
  // The last column stays free, as some terminals wrap there.
  std::size_t room = terminal_.width() - 1;
  room -= std::min(room, columns_of(name) + kFigureGap.size());
  const std::size_t bar_width = width_of_bar(transfer, room);
  std::string line = terminal_.paint(Colour::bold, name) + std::string(kFigureGap);
  if (bar_width > 0) {
    line += bar(transfer.fraction().value_or(0), bar_width) + std::string(kFigureGap);
    room -= bar_width + kFigureGap.size();
  }
  draw(line + transfer.figures(room));
}

/// A line that wraps cannot be drawn over, so a long name is cut to leave room for a figure.
std::string ProgressBar::cut_name(const std::string& name) const {
  const std::size_t taken = kFigureGap.size() + kPercentageWidth + 1;
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), taken);
  return cut_to(name, room, cut_mark());
}

/// Independent of the figures, so that the bar keeps its width during a pull.
std::size_t ProgressBar::width_of_bar(const Transfer& transfer, std::size_t room) {
  const std::size_t taken = kFiguresWidth + kFigureGap.size();
  if (!transfer.fraction() || room < taken + kMinBar) return 0;
  return std::min(room - taken, kMaxBar);
}

std::string ProgressBar::bar(double fraction, std::size_t width) const {
  const std::string_view piece = terminal_.unicode() ? "\u2501" : "=";
  const auto filled = [&](std::size_t whole) {
    return static_cast<std::size_t>(fraction * static_cast<double>(whole));
  };
  if (!terminal_.colour()) {
    const std::size_t done = filled(width - 2);
    return '[' + repeat(piece, done) + repeat(" ", width - 2 - done) + ']';
  }
  const std::size_t done = filled(width);
  return terminal_.paint(Colour::green, repeat(piece, done)) +
         terminal_.paint(Colour::dim, repeat(piece, width - done));
}

void ProgressBar::finished(std::string_view environment, std::uint64_t received_bytes,
                           std::uint64_t installed_bytes) noexcept {
  const std::lock_guard lock(mutex_);
  const TimePoint now = clock_();
  transfer_.receive(received_bytes, now);
  erase();
  const std::string_view mark = terminal_.unicode() ? "\u2713" : "ok:";
  const std::string name = printable(environment);
  const std::size_t taken = columns_of(mark) + 1 + columns_of(name) + kFigureGap.size();
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), taken);
  terminal_.try_write(terminal_.paint(Colour::green, mark) + ' ' +
                      terminal_.paint(Colour::bold, name) + std::string(kFigureGap) +
                      transfer_.summary(installed_bytes, now, room) + '\n');
}

void ProgressBar::draw_note(std::string_view environment, std::string_view note) noexcept {
  const std::lock_guard lock(mutex_);
  const std::string name = cut_name(printable(environment));
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), columns_of(name) + 3);
  draw(terminal_.paint(Colour::bold, name) + "  " + cut_to(printable(note), room, cut_mark()));
}

/// Lines of a log.
class ProgressPlain final : public LiveView {
 public:
  ProgressPlain(const Terminal& terminal, const Clock& clock, bool shows_operations)
      : LiveView(terminal, clock), shows_operations_(shows_operations) {}

  void received(std::uint64_t compressed_bytes) noexcept override;
  void finished(std::string_view environment, std::uint64_t received_bytes,
                std::uint64_t installed_bytes) noexcept override;

  void retrying(std::string_view environment, std::string_view why,
                std::chrono::milliseconds pause) noexcept override {
    line(environment, fmt::format("{}; trying again in {}", why, format_duration(pause)));
  }

  void waiting(std::string_view environment, std::optional<int> holder) noexcept override {
    line(environment, waiting_text(holder));
  }

 private:
  /// When a line was written last, and what it said.
  struct LastLine {
    TimePoint time;
    int tenths = 0;

    [[nodiscard]] bool is_news(const Transfer& transfer, TimePoint now) const {
      return tenths_of(transfer) > tenths || now - time >= kMaxSilence;
    }
    static int tenths_of(const Transfer& transfer) {
      return static_cast<int>(10 * transfer.fraction().value_or(0));
    }
  };

  void begin(std::string_view environment, std::string_view source) noexcept override {
    transfer_ = Transfer(environment, clock_());
    last_line_ = {transfer_.start()};
    line(environment, fmt::format("pulling from {}", source));
  }

  void show(const ShownOperation& operation, TimePoint now) noexcept override;

  void line(std::string_view environment, std::string_view text) noexcept {
    terminal_.try_write(printable(environment) + ": " + printable(text) + '\n');
  }

  const bool shows_operations_;
  LastLine last_line_;       ///< Of the pull.
  LastLine operation_line_;  ///< Of the operation.
};

void ProgressPlain::received(std::uint64_t compressed_bytes) noexcept {
  const TimePoint now = clock_();
  transfer_.receive(compressed_bytes, now);
  // finished() reports the last tenth.
  if (!last_line_.is_news(transfer_, now) || transfer_.fraction() == 1.0) return;
  last_line_ = {now, LastLine::tenths_of(transfer_)};
  line(transfer_.title(), transfer_.figures_in_log());
}

/// A line when it is shown for the first time, and then as of a pull.
void ProgressPlain::show(const ShownOperation& operation, TimePoint now) noexcept {
  if (!shows_operations_) return;
  const Transfer& transfer = operation.transfer;
  if (operation.is_shown && !operation_line_.is_news(transfer, now)) return;
  operation_line_ = {now, LastLine::tenths_of(transfer)};
  line(operation.title(),
       operation.unit == ProgressUnit::bytes ? transfer.figures_in_log() : transfer.elapsed(now));
}

void ProgressPlain::finished(std::string_view environment, std::uint64_t received_bytes,
                             std::uint64_t installed_bytes) noexcept {
  const TimePoint now = clock_();
  transfer_.receive(received_bytes, now);
  line(environment, "installed: " + transfer_.summary(installed_bytes, now));
}

std::unique_ptr<ProgressView> make_view_of(ProgressKind kind, const Context& context) {
  auto view = make_progress(kind, context.err);
  view->set_verbosity(context.verbosity);
  return view;
}

}  // namespace

std::optional<ProgressKind> parse_progress_kind(std::string_view text) {
  if (text == "auto") return ProgressKind::automatic;
  if (text == "tty") return ProgressKind::tty;
  if (text == "plain") return ProgressKind::plain;
  if (text == "json") return ProgressKind::json;
  if (text == "none") return ProgressKind::none;
  return std::nullopt;
}

std::unique_ptr<ProgressView> make_progress(ProgressKind kind, const Terminal& terminal,
                                            const Clock& clock) {
  if (kind == ProgressKind::automatic && terminal.interactive()) kind = ProgressKind::tty;
  switch (kind) {
    case ProgressKind::tty:
      return std::make_unique<ProgressBar>(terminal, clock);
    case ProgressKind::json:
      return std::make_unique<ProgressEvents>(
          [&terminal](const Json& event) { terminal.try_write(render_json_line(event)); },
          clock ? clock : Clock(std::chrono::steady_clock::now));
    case ProgressKind::none:
      return std::make_unique<WarningView>(terminal);
    case ProgressKind::plain:
    case ProgressKind::automatic:
      break;
  }
  return std::make_unique<ProgressPlain>(terminal, clock, kind == ProgressKind::plain);
}

void ProgressArguments::declare(Arguments& arguments) {
  arguments.choice(
      "--progress", "KIND", {"auto", "tty", "plain", "json", "none"},
      [this](const std::string& text) { kind_ = *parse_progress_kind(text); },
      "How to show progress: auto, tty, plain, json or none");
  arguments.flag("-q,--quiet", quiet_, "Show neither progress nor warnings");
}

std::unique_ptr<ProgressView> ProgressArguments::make_view(Context& context) const {
  if (quiet_) return nullptr;
  auto view = make_view_of(kind_, context);
  context.store.on_warning = [&shown = *view](std::string_view text) { shown.warning(text); };
  return view;
}

void ProgressArguments::say(const Context& context, std::string_view name,
                            std::string_view what) const {
  if (quiet_ || kind_ == ProgressKind::json || kind_ == ProgressKind::none) return;
  context.err.try_write(context.err.paint(Colour::bold, printable(name)) + ": " +
                        std::string(what) + '\n');
}

std::unique_ptr<ProgressView> make_warning_view(const Context& context) {
  return make_view_of(ProgressKind::none, context);
}

}  // namespace pyro::cli
