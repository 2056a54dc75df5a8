// A pull as one line on a terminal that is drawn again and again.
#include "cli/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/error_output.h"
#include "cli/printable.h"
#include "cli/sizes.h"

namespace pyro::cli {
namespace {

using Seconds = std::chrono::duration<double>;

constexpr std::chrono::milliseconds kBetweenDraws{100};
constexpr std::size_t kWidestBar = 30;
constexpr std::size_t kNarrowestBar = 8;
/// "100 %  350.0 of 350.0 MiB  112.4 MiB/s  12 s left"
constexpr std::size_t kFiguresWidth = 50;
constexpr std::size_t kPercentage = 5;
constexpr std::string_view kGap = "  ";
constexpr std::string_view kErase = "\r\x1b[K";

std::string repeat(std::string_view piece, std::size_t count) {
  std::string text;
  while (count-- > 0) text += piece;
  return text;
}

}  // namespace

ProgressBar::ProgressBar(const Terminal& terminal, Clock clock)
    : terminal_(terminal), clock_(std::move(clock)) {}

void ProgressBar::begin(std::string_view environment, std::string_view source) noexcept {
  transfer_ = Transfer(printable(environment), clock_());
  draw_note(environment, fmt::format("pulling from {}", source));
  drawn_.reset();
}

void ProgressBar::expecting(std::uint64_t compressed_bytes) noexcept {
  transfer_.expect(compressed_bytes);
}

void ProgressBar::received(std::uint64_t compressed_bytes) noexcept {
  const TimePoint now = clock_();
  transfer_.receive(compressed_bytes, now);
  if (drawn_ && now - *drawn_ < kBetweenDraws) return;
  drawn_ = now;
  const std::string name = cut_name(transfer_.environment());
  // The last column stays free, as some terminals wrap there.
  std::size_t room = terminal_.width() - 1;
  room -= std::min(room, columns_of(name) + kGap.size());
  const std::size_t bar_width = width_of_bar(room);
  std::string line = terminal_.paint(Colour::bold, name) + std::string(kGap);
  if (bar_width > 0) {
    line += bar(bar_width) + std::string(kGap);
    room -= bar_width + kGap.size();
  }
  draw(line + figures(room));
}

/// A line that wraps cannot be drawn over: of a long name there is what leaves room for a figure.
std::string ProgressBar::cut_name(const std::string& name) const {
  const std::size_t taken = kGap.size() + kPercentage + 1;
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), taken);
  return cut_to(name, room, terminal_.unicode() ? "\u2026" : "...");
}

/// The same for the whole of a pull, whatever the figures, so that the bar only grows.
std::size_t ProgressBar::width_of_bar(std::size_t room) const {
  const std::size_t taken = kFiguresWidth + kGap.size();
  if (!transfer_.fraction() || room < taken + kNarrowestBar) return 0;
  return std::min(room - taken, kWidestBar);
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
  // The most wanted first; what does not fit is left out whole.
  const auto add = [&](const std::string& figure) {
    const std::string longer = text + (text.empty() ? "" : std::string(kGap)) + figure;
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

void ProgressBar::committing() noexcept {
  draw_note(transfer_.environment(), "writing to disk");
}

void ProgressBar::finished(std::string_view environment, std::uint64_t received_bytes,
                           std::uint64_t installed_bytes) noexcept {
  const TimePoint now = clock_();
  transfer_.receive(received_bytes, now);
  clear();
  const std::string_view mark = terminal_.unicode() ? "\u2713" : "ok:";
  const std::string name = printable(environment);
  const std::size_t taken = columns_of(mark) + 1 + columns_of(name) + kGap.size();
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), taken);
  terminal_.try_write(terminal_.paint(Colour::green, mark) + ' ' +
                      terminal_.paint(Colour::bold, name) + std::string(kGap) +
                      transfer_.summary(installed_bytes, now, room) + '\n');
}

void ProgressBar::retrying(std::string_view environment, std::string_view why,
                           std::chrono::milliseconds pause) noexcept {
  draw_note(environment, fmt::format("trying again in {}: {}", format_duration(pause), why));
}

void ProgressBar::waiting(std::string_view environment, std::optional<int> holder) noexcept {
  draw_note(environment, waiting_text(holder));
}

void ProgressBar::warning(std::string_view text) noexcept {
  clear();
  terminal_.try_write(render_warning(text, terminal_));
}

void ProgressBar::show_note(std::string_view text) noexcept {
  clear();
  terminal_.try_write(render_note(text));
}

void ProgressBar::clear() noexcept {
  if (std::exchange(on_screen_, false)) terminal_.try_write(kErase);
}

void ProgressBar::draw_note(std::string_view environment, std::string_view note) noexcept {
  const std::string name = cut_name(printable(environment));
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), columns_of(name) + 3);
  const std::string_view mark = terminal_.unicode() ? "\u2026" : "...";
  draw(terminal_.paint(Colour::bold, name) + "  " + cut_to(printable(note), room, mark));
}

void ProgressBar::draw(const std::string& line) noexcept {
  on_screen_ = true;
  terminal_.try_write(std::string(kErase) + line);
}

}  // namespace pyro::cli
