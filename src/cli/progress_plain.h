// A pull as lines in a log.
#pragma once

#include <optional>
#include <string_view>

#include "cli/progress.h"
#include "cli/transfer.h"

namespace pyro::cli {

/// A line at start and end, and one every 10 % or 5 seconds, whichever comes first.
class ProgressPlain : public ProgressView {
 public:
  ProgressPlain(const Terminal& terminal, Clock clock);

  void expecting(std::uint64_t compressed_bytes) noexcept override;
  void received(std::uint64_t compressed_bytes) noexcept override;
  void finished(std::string_view environment, std::uint64_t received_bytes,
                std::uint64_t installed_bytes) noexcept override;
  void retrying(std::string_view environment, std::string_view why,
                std::chrono::milliseconds pause) noexcept override;
  void waiting(std::string_view environment, std::optional<int> holder) noexcept override;
  void warning(std::string_view text) noexcept override;

 private:
  void begin(std::string_view environment, std::string_view source) noexcept override;
  void show_note(std::string_view text) noexcept override;
  void line(std::string_view environment, std::string_view text) noexcept;
  [[nodiscard]] int tenths() const;

  const Terminal& terminal_;
  Clock clock_;
  Transfer transfer_;
  TimePoint last_line_;
  int last_tenths_ = 0;
};

}  // namespace pyro::cli
