// Aligned columns.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.h"

namespace pyro::cli {

struct Cell {
  std::string text;
  std::optional<Colour> colour = {};
};

/// Rows of cells under a heading. Texts are made printable; on a terminal, rows are cut at its
/// width rather than wrapped.
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

/// "Key   value" lines with aligned values; long values are left to the terminal to wrap, so that
/// they can be copied.
[[nodiscard]] std::string render_fields(
    const std::vector<std::pair<std::string_view, Cell>>& fields, const Terminal& terminal);

}  // namespace pyro::cli
