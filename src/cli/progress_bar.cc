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

constexpr std::chrono::milliseconds kBetweenDraws{100};
constexpr std::size_t kWidestBar = 30;
constexpr std::size_t kNarrowestBar = 5;
constexpr std::string_view kErase = "\r\x1b[K";

std::string repeat(std::string_view piece, std::size_t count) {
  std::string text;
  while (count-- > 0) text += piece;
  return text;
}

}  // namespace

ProgressBar::ProgressBar(const Terminal& terminal, Clock clock)
    : terminal_(terminal), clock_(std::move(clock)) {}

void ProgressBar::started(std::string_view environment, std::string_view source) noexcept {
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
  const std::string name = transfer_.environment();
  const std::string numbers = figures();
  // What is left for the bar beside name, numbers and the gaps; the last column stays free, as some
  // terminals wrap there.
  const std::size_t taken = columns_of(name) + columns_of(numbers) + 5;
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), taken);
  const bool has_bar = transfer_.fraction() && room >= kNarrowestBar;
  draw(terminal_.paint(Colour::bold, name) + "  " +
       (has_bar ? bar(std::min(room, kWidestBar)) + "  " : "") +
       cut_to(numbers, terminal_.width() - std::min(terminal_.width(), columns_of(name) + 3), ""));
}

std::string ProgressBar::bar(std::size_t width) const {
  const double filled = transfer_.fraction().value_or(0) * static_cast<double>(width);
  const auto full = static_cast<std::size_t>(std::floor(filled));
  const std::string_view done = terminal_.unicode() ? "\u2501" : "=";
  const std::string_view open = terminal_.unicode() ? "\u2501" : "-";
  return terminal_.paint(Colour::green, repeat(done, full)) +
         terminal_.paint(Colour::dim, repeat(terminal_.colour() ? open : " ", width - full));
}

std::string ProgressBar::figures() const {
  std::string text = transfer_.total() ? format_part(transfer_.received(), *transfer_.total())
                                       : format_size(transfer_.received());
  if (const auto fraction = transfer_.fraction()) {
    text = fmt::format("{:3.0f} %  ", std::floor(100 * *fraction)) + text;
  }
  if (const auto rate = transfer_.rate()) text += "  " + format_rate(*rate);
  if (const auto left = transfer_.time_left()) text += "  " + format_duration(*left) + " left";
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
  terminal_.try_write(terminal_.paint(Colour::green, mark) + ' ' +
                      terminal_.paint(Colour::bold, printable(environment)) + "  " +
                      transfer_.summary(installed_bytes, now) + '\n');
}

void ProgressBar::waiting(std::string_view environment, std::optional<int> holder) noexcept {
  const std::string who = holder ? fmt::format("process {}", *holder) : "another process";
  draw_note(environment, "waiting for " + who + ", which is pulling it");
}

void ProgressBar::warning(std::string_view text) noexcept {
  clear();
  terminal_.try_write(render_warning(text, terminal_));
}

void ProgressBar::clear() noexcept {
  if (std::exchange(on_screen_, false)) terminal_.try_write(kErase);
}

void ProgressBar::draw_note(std::string_view environment, std::string_view note) noexcept {
  const std::string name = printable(environment);
  const std::size_t room = terminal_.width() - std::min(terminal_.width(), columns_of(name) + 3);
  const std::string_view mark = terminal_.unicode() ? "\u2026" : "...";
  draw(terminal_.paint(Colour::bold, name) + "  " + cut_to(printable(note), room, mark));
}

void ProgressBar::draw(const std::string& line) noexcept {
  on_screen_ = true;
  terminal_.try_write(std::string(kErase) + line);
}

}  // namespace pyro::cli
