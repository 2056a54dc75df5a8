// A pull as lines in a log.
#include "cli/progress_plain.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "cli/error_output.h"
#include "cli/printable.h"
#include "cli/sizes.h"

namespace pyro::cli {
namespace {

constexpr std::chrono::seconds kLongestSilence{5};

}  // namespace

ProgressPlain::ProgressPlain(const Terminal& terminal, Clock clock)
    : terminal_(terminal), clock_(std::move(clock)) {}

void ProgressPlain::begin(std::string_view environment, std::string_view source) noexcept {
  last_line_ = clock_();
  last_tenths_ = 0;
  transfer_ = Transfer(environment, last_line_);
  line(environment, fmt::format("pulling from {}", source));
}

void ProgressPlain::expecting(std::uint64_t compressed_bytes) noexcept {
  transfer_.expect(compressed_bytes);
}

int ProgressPlain::tenths() const {
  return static_cast<int>(10 * transfer_.fraction().value_or(0));
}

void ProgressPlain::received(std::uint64_t compressed_bytes) noexcept {
  const TimePoint now = clock_();
  transfer_.receive(compressed_bytes, now);
  const bool is_news = tenths() > last_tenths_ || now - last_line_ >= kLongestSilence;
  // The last tenth is told by finished().
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

void ProgressPlain::retrying(std::string_view environment, std::string_view why,
                             std::chrono::milliseconds pause) noexcept {
  line(environment, fmt::format("{}; trying again in {}", why, format_duration(pause)));
}

void ProgressPlain::waiting(std::string_view environment, std::optional<int> holder) noexcept {
  line(environment, waiting_text(holder));
}

void ProgressPlain::warning(std::string_view text) noexcept {
  terminal_.try_write(render_warning(text, terminal_));
}

void ProgressPlain::show_note(std::string_view text) noexcept {
  terminal_.try_write(render_note(text));
}

void ProgressPlain::line(std::string_view environment, std::string_view text) noexcept {
  terminal_.try_write(printable(environment) + ": " + printable(text) + '\n');
}

}  // namespace pyro::cli
