// How far a transfer is, how fast, and when it will be done.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "cli/progress.h"

namespace pyro::cli {

/// The numbers of one pull, fed with what a ProgressListener hears.
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

  /// Bytes a second over the last few seconds; nothing before there is something to measure.
  [[nodiscard]] std::optional<double> rate() const;

  [[nodiscard]] std::optional<std::chrono::duration<double>> time_left() const;

  /// "350.1 MiB in 2.1 s (166.7 MiB/s), 352.0 MiB on disk", or as much of it as goes into so many
  /// columns, but for the last part.
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

}  // namespace pyro::cli
