// How far a transfer is, how fast, and when it will be done.
#include "cli/transfer.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/sizes.h"

namespace pyro::cli {
namespace {

using Seconds = std::chrono::duration<double>;

/// Long enough to be calm, short enough to notice a stall.
constexpr std::chrono::seconds kWindow{3};
constexpr std::chrono::milliseconds kBetweenSamples{100};
constexpr Seconds kLeastToMeasure{0.2};

}  // namespace

void Transfer::receive(std::uint64_t received, TimePoint now) {
  received_ = received;
  if (!samples_.empty() && now - samples_.back().time < kBetweenSamples) return;
  samples_.push_back({now, received});
  while (samples_.size() > 2 && now - samples_[1].time >= kWindow) samples_.pop_front();
}

std::optional<double> Transfer::fraction() const {
  if (!total_ || *total_ == 0) return std::nullopt;
  return std::min(1.0, static_cast<double>(received_) / static_cast<double>(*total_));
}

std::optional<double> Transfer::rate() const {
  if (samples_.size() < 2) return std::nullopt;
  const Seconds time = samples_.back().time - samples_.front().time;
  if (time < kLeastToMeasure) return std::nullopt;
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
  if (time >= kLeastToMeasure) {
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
