// How commands report: exit codes, messages, aligned columns.
//
// docs/commands.md lists the exit codes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/terminal.h"
#include "pyro/error.h"

namespace pyro::cli {

inline constexpr int kDone = 0;

[[nodiscard]] constexpr int exit_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::failed:
      return 1;
    case ErrorCode::usage:
      return 2;
    case ErrorCode::not_found:
      return 3;
    case ErrorCode::network:
      return 4;
    case ErrorCode::integrity:
      return 5;
    case ErrorCode::filesystem:
      return 6;
    case ErrorCode::busy:
      return 75;
    case ErrorCode::interrupted:
      return 130;
  }
  return 1;
}

/// "pyro: error: <message>", one line for each cause, one for the hint; escaped for terminals.
[[nodiscard]] std::string render_error(const Error& error, const Terminal& terminal);

/// "pyro: warning: <text>"
[[nodiscard]] std::string render_warning(std::string_view text, const Terminal& terminal);

/// "pyro: <text>"
[[nodiscard]] std::string render_note(std::string_view text);

struct Cell {
  std::string text;
  std::optional<Colour> colour = {};
};

/// Rows of cells under a heading. Texts are escaped; on a terminal, rows are cut at its width.
class Table {
 public:
  enum class Align { left, right };
  struct Column {
    std::string_view heading;
    Align align = Align::left;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// As many cells as there are columns.
  void add(std::vector<Cell> row);

  [[nodiscard]] std::string render(const Terminal& terminal) const;

 private:
  [[nodiscard]] std::vector<std::size_t> widths() const;
  [[nodiscard]] std::string render_row(const std::vector<Cell>& row,
                                       const std::vector<std::size_t>& widths,
                                       const Terminal& terminal) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

/// "Key   value" lines with aligned values. Long values are not cut, so that they can be copied.
[[nodiscard]] std::string render_fields(
    const std::vector<std::pair<std::string_view, Cell>>& fields, const Terminal& terminal);

}  // namespace pyro::cli
