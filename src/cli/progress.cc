// The ways to show a pull: a bar, lines, JSON events, or warnings alone.
#include "cli/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/output.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

using Seconds = std::chrono::duration<double>;

/// Long enough for a steady figure, short enough to notice a stall.
constexpr std::chrono::seconds kRateWindow{3};
constexpr std::chrono::milliseconds kBetweenSamples{100};
constexpr Seconds kMinToMeasure{0.2};

constexpr std::chrono::milliseconds kBetweenDraws{100};
constexpr std::size_t kMaxBar = 30;
constexpr std::size_t kMinBar = 8;
/// "100 %  350.0 of 350.0 MiB  112.4 MiB/s  12 s left"
constexpr std::size_t kFiguresWidth = 50;
constexpr std::size_t kPercentageWidth = 5;
constexpr std::string_view kFigureGap = "  ";
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

/// Shows warnings and notes, and no progress.
class WarningView : public ProgressView {
 public:
  WarningView(const Terminal& terminal, Clock clock)
      : terminal_(terminal), clock_(std::move(clock)) {}

  void expecting(std::uint64_t compressed_bytes) noexcept override {
    transfer_.expect(compressed_bytes);
  }

  void warning(std::string_view text) noexcept override {
    clear();
    terminal_.try_write(render_warning(text, terminal_));
  }

 protected:
  const Terminal& terminal_;
  Clock clock_;
  Transfer transfer_;

 private:
  void show_note(std::string_view text) noexcept override {
    clear();
    terminal_.try_write(render_note(text));
  }
};

/// One line on a terminal, drawn again and again.
class ProgressBar final : public WarningView {
 public:
  using WarningView::WarningView;
  ~ProgressBar() override { clear(); }

  void received(std::uint64_t compressed_bytes) noexcept override;
  void finished(std::string_view environment, std::uint64_t received_bytes,
                std::uint64_t installed_bytes) noexcept override;

  void committing() noexcept override { draw_note(transfer_.environment(), "writing to disk"); }

  void retrying(std::string_view environment, std::string_view why,
                std::chrono::milliseconds pause) noexcept override {
    draw_note(environment, fmt::format("trying again in {}: {}", format_duration(pause), why));
  }

  void waiting(std::string_view environment, std::optional<int> holder) noexcept override {
    draw_note(environment, waiting_text(holder));
  }

  void clear() noexcept override {
    if (std::exchange(on_screen_, false)) terminal_.try_write(kErase);
  }

 private:
  void begin(std::string_view environment, std::string_view source) noexcept override {
    transfer_ = Transfer(printable(environment), clock_());
    draw_note(environment, fmt::format("pulling from {}", source));
    drawn_.reset();
  }

  void draw(const std::string& line) noexcept {
    on_screen_ = true;
    terminal_.try_write(std::string(kErase) + line);
  }

  void draw_note(std::string_view environment, std::string_view note) noexcept;
  [[nodiscard]] std::string_view cut_mark() const { return terminal_.unicode() ? "\u2026" : "..."; }
  [[nodiscard]] std::string cut_name(const std::string& name) const;
  [[nodiscard]] std::size_t width_of_bar(std::size_t room) const;
  [[nodiscard]] std::string bar(std::size_t width) const;
  [[nodiscard]] std::string figures(std::size_t room) const;

  std::optional<TimePoint> drawn_;
  bool on_screen_ = false;
};

void ProgressBar::received(std::uint64_t compressed_bytes) noexcept {
  const TimePoint now = clock_();
  transfer_.receive(compressed_bytes, now);
  if (drawn_ && now - *drawn_ < kBetweenDraws) return;
  drawn_ = now;
  const std::string name = cut_name(transfer_.environment());
  // The last column stays free, as some terminals wrap there.
  std::size_t room = terminal_.width() - 1;
  room -= std::min(room, columns_of(name) + kFigureGap.size());
  const std::size_t bar_width = width_of_bar(room);
  std::string line = terminal_.paint(Colour::bold, name) + std::string(kFigureGap);
  if (bar_width > 0) {
    line += bar(bar_width) + std::string(kFigureGap);
    room -= bar_width + kFigureGap.size();
  }
  draw(line + figures(room));
}

/// A line that wraps cannot be drawn over, so a long name is cut to leave room for a figure.
std::string ProgressBar::cut_name(const std::string& name) const {
  const std::size_t taken = kFigureGap.size() + kPercentageWidth + 1;
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), taken);
  return cut_to(name, room, cut_mark());
}

/// Independent of the figures, so that the bar keeps its width during a pull.
std::size_t ProgressBar::width_of_bar(std::size_t room) const {
  const std::size_t taken = kFiguresWidth + kFigureGap.size();
  if (!transfer_.fraction() || room < taken + kMinBar) return 0;
  return std::min(room - taken, kMaxBar);
}

std::string ProgressBar::bar(std::size_t width) const {
  const std::string_view piece = terminal_.unicode() ? "\u2501" : "=";
  const double fraction = transfer_.fraction().value_or(0);
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

std::string ProgressBar::figures(std::size_t room) const {
  std::string text;
  // In the order of their use; figures that do not fit are left out.
  const auto add = [&](const std::string& figure) {
    const std::string longer = text + (text.empty() ? "" : std::string(kFigureGap)) + figure;
    if (columns_of(longer) <= room) text = longer;
  };
  const auto fraction = transfer_.fraction();
  if (fraction) add(fmt::format("{:3.0f} %", std::floor(100 * *fraction)));
  add(transfer_.total() ? format_part(transfer_.received(), *transfer_.total())
                        : format_size(transfer_.received()));
  if (const auto rate = transfer_.rate()) add(format_rate(*rate));
  const double left = std::ceil(transfer_.time_left().value_or(Seconds(0)).count());
  if (left >= 1) add(format_duration(Seconds(left)) + " left");
  return text;
}

void ProgressBar::finished(std::string_view environment, std::uint64_t received_bytes,
                           std::uint64_t installed_bytes) noexcept {
  const TimePoint now = clock_();
  transfer_.receive(received_bytes, now);
  clear();
  const std::string_view mark = terminal_.unicode() ? "\u2713" : "ok:";
  const std::string name = printable(environment);
  const std::size_t taken = columns_of(mark) + 1 + columns_of(name) + kFigureGap.size();
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), taken);
  terminal_.try_write(terminal_.paint(Colour::green, mark) + ' ' +
                      terminal_.paint(Colour::bold, name) + std::string(kFigureGap) +
                      transfer_.summary(installed_bytes, now, room) + '\n');
}

void ProgressBar::draw_note(std::string_view environment, std::string_view note) noexcept {
  const std::string name = cut_name(printable(environment));
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), columns_of(name) + 3);
  draw(terminal_.paint(Colour::bold, name) + "  " + cut_to(printable(note), room, cut_mark()));
}

/// Lines in a log.
class ProgressPlain final : public WarningView {
 public:
  using WarningView::WarningView;

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
  void begin(std::string_view environment, std::string_view source) noexcept override {
    last_line_ = clock_();
    last_tenths_ = 0;
    transfer_ = Transfer(environment, last_line_);
    line(environment, fmt::format("pulling from {}", source));
  }

  void line(std::string_view environment, std::string_view text) noexcept {
    terminal_.try_write(printable(environment) + ": " + printable(text) + '\n');
  }

  [[nodiscard]] int tenths() const {
    return static_cast<int>(10 * transfer_.fraction().value_or(0));
  }

  TimePoint last_line_;
  int last_tenths_ = 0;
};

void ProgressPlain::received(std::uint64_t compressed_bytes) noexcept {
  const TimePoint now = clock_();
  transfer_.receive(compressed_bytes, now);
  const bool is_news = tenths() > last_tenths_ || now - last_line_ >= kMaxSilence;
  // finished() reports the last tenth.
  if (!is_news || transfer_.fraction() == 1.0) return;
  last_line_ = now;
  last_tenths_ = tenths();
  const auto total = transfer_.total();
  std::string text = total ? fmt::format("{:.0f} %, {}", 100 * transfer_.fraction().value_or(0),
                                         format_part(compressed_bytes, *total))
                           : format_size(compressed_bytes);
  if (const auto rate = transfer_.rate()) text += ", " + format_rate(*rate);
  line(transfer_.environment(), text);
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

void Transfer::receive(std::uint64_t received, TimePoint now) {
  received_ = received;
  if (!samples_.empty() && now - samples_.back().time < kBetweenSamples) return;
  samples_.push_back({now, received});
  while (samples_.size() > 2 && now - samples_[1].time >= kRateWindow) samples_.pop_front();
}

std::optional<double> Transfer::fraction() const {
  if (!total_ || *total_ == 0) return std::nullopt;
  return std::min(1.0, static_cast<double>(received_) / static_cast<double>(*total_));
}

std::optional<double> Transfer::rate() const {
  if (samples_.size() < 2) return std::nullopt;
  const Seconds time = samples_.back().time - samples_.front().time;
  if (time < kMinToMeasure) return std::nullopt;
  const std::uint64_t bytes = samples_.back().received - samples_.front().received;
  return static_cast<double>(bytes) / time.count();
}

std::optional<Seconds> Transfer::time_left() const {
  const auto speed = rate();
  if (!total_ || !speed || *speed < 1) return std::nullopt;
  return Seconds(static_cast<double>(*total_ - std::min(*total_, received_)) / *speed);
}

std::string Transfer::summary(std::uint64_t installed_bytes, TimePoint now,
                              std::size_t columns) const {
  const std::string on_disk = format_size(installed_bytes) + " on disk";
  if (received_ == 0) return on_disk;  // Linked or copied: nothing was transferred.
  const Seconds time = now - start_;
  const std::string text = fmt::format("{} in {}", format_size(received_), format_duration(time));
  std::string rate;
  if (time >= kMinToMeasure) {
    rate = fmt::format(" ({})", format_rate(static_cast<double>(received_) / time.count()));
  }
  for (const std::string& all : {text + rate + ", " + on_disk, text + ", " + on_disk}) {
    if (all.size() <= columns) return all;
  }
  return on_disk;
}

std::string format_rate(double bytes_per_second) {
  return format_size(static_cast<std::uint64_t>(bytes_per_second)) + "/s";
}

std::optional<ProgressKind> parse_progress_kind(std::string_view text) {
  if (text == "auto") return ProgressKind::automatic;
  if (text == "tty") return ProgressKind::tty;
  if (text == "plain") return ProgressKind::plain;
  if (text == "json") return ProgressKind::json;
  if (text == "none") return ProgressKind::none;
  return std::nullopt;
}

std::unique_ptr<ProgressView> make_progress(ProgressKind kind, const Terminal& terminal,
                                            Clock clock) {
  if (kind == ProgressKind::automatic) {
    kind = terminal.interactive() ? ProgressKind::tty : ProgressKind::plain;
  }
  switch (kind) {
    case ProgressKind::tty:
      return std::make_unique<ProgressBar>(terminal, std::move(clock));
    case ProgressKind::json:
      return std::make_unique<ProgressEvents>(
          [&terminal](const Json& event) { terminal.try_write(render_json_line(event)); },
          std::move(clock));
    case ProgressKind::none:
      return std::make_unique<WarningView>(terminal, std::move(clock));
    case ProgressKind::plain:
    case ProgressKind::automatic:
      break;
  }
  return std::make_unique<ProgressPlain>(terminal, std::move(clock));
}

void ProgressArguments::declare(Arguments& arguments) {
  arguments.choice(
      "--progress", "KIND", {"auto", "tty", "plain", "json", "none"},
      [this](const std::string& text) { kind_ = *parse_progress_kind(text); },
      "How to show progress: auto, tty, plain, json or none");
  arguments.flag("-q,--quiet", quiet_, "Show neither progress nor warnings");
}

std::unique_ptr<ProgressView> ProgressArguments::make_view(const Context& context) const {
  return quiet_ ? nullptr : make_view_of(kind_, context);
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

std::unique_ptr<ProgressView> make_progress_view(bool json, const Context& context) {
  return make_view_of(json ? ProgressKind::none : ProgressKind::automatic, context);
}

}  // namespace pyro::cli
