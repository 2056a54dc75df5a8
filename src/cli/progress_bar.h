// A pull as one line on a terminal that is drawn again and again.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "cli/progress.h"
#include "cli/transfer.h"

namespace pyro::cli {

/// At most ten times a second; a finished pull leaves one line with its summary.
class ProgressBar : public ProgressView {
 public:
  ProgressBar(const Terminal& terminal, Clock clock);
  ~ProgressBar() override { clear(); }

  void expecting(std::uint64_t compressed_bytes) noexcept override;
  void received(std::uint64_t compressed_bytes) noexcept override;
  void committing() noexcept override;
  void finished(std::string_view environment, std::uint64_t received_bytes,
                std::uint64_t installed_bytes) noexcept override;
  void retrying(std::string_view environment, std::string_view why,
                std::chrono::milliseconds pause) noexcept override;
  void waiting(std::string_view environment, std::optional<int> holder) noexcept override;
  void warning(std::string_view text) noexcept override;
  void clear() noexcept override;

 private:
  void begin(std::string_view environment, std::string_view source) noexcept override;
  void show_note(std::string_view text) noexcept override;
  void draw(const std::string& line) noexcept;
  void draw_note(std::string_view environment, std::string_view note) noexcept;
  [[nodiscard]] std::string cut_name(const std::string& name) const;
  [[nodiscard]] std::size_t width_of_bar(std::size_t room) const;
  [[nodiscard]] std::string bar(std::size_t width) const;
  [[nodiscard]] std::string figures(std::size_t room) const;

  const Terminal& terminal_;
  Clock clock_;
  Transfer transfer_;
  std::optional<TimePoint> drawn_;
  bool on_screen_ = false;
};

}  // namespace pyro::cli
