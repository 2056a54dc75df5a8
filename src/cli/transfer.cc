// The numbers of a transfer: how much, how fast, how long.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/progress.h"
#include "front/text.h"

namespace pyro::cli {
namespace {

/// Long enough for a steady figure, short enough to notice a stall.
constexpr std::chrono::seconds kRateWindow{3};
constexpr std::chrono::milliseconds kBetweenSamples{100};
constexpr Seconds kMinToMeasure{0.2};

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

std::string Transfer::elapsed(TimePoint now) const {
  return format_duration(std::chrono::floor<std::chrono::seconds>(now - start_));
}

std::string Transfer::figures(std::size_t columns) const {
  std::string text;
  // In the order of their use; figures that do not fit are left out.
  const auto add = [&](const std::string& figure) {
    const std::string longer = text + (text.empty() ? "" : std::string(kFigureGap)) + figure;
    if (columns_of(longer) <= columns) text = longer;
  };
  if (const auto part = fraction()) add(fmt::format("{:3.0f} %", std::floor(100 * *part)));
  add(total_ ? format_part(received_, *total_) : format_size(received_));
  if (const auto speed = rate()) add(format_rate(*speed));
  const double left = std::ceil(time_left().value_or(Seconds(0)).count());
  if (left >= 1) add(format_duration(Seconds(left)) + " left");
  return text;
}

std::string Transfer::figures_in_log() const {
  std::string text = total_ ? fmt::format("{:.0f} %, {}", 100 * fraction().value_or(0),
                                          format_part(received_, *total_))
                            : format_size(received_);
  if (const auto speed = rate()) text += ", " + format_rate(*speed);
  return text;
}

std::string Transfer::summary(std::uint64_t installed_bytes, TimePoint now,
                              std::size_t columns) const {
  std::string on_disk = format_size(installed_bytes) + " on disk";
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

}  // namespace pyro::cli
