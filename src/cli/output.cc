// How commands report: messages and aligned columns.
#include "cli/output.h"

#include <algorithm>
#include <limits>

#include "front/text.h"

namespace pyro::cli {
namespace {

constexpr std::string_view kColumnGap = "  ";

std::string paint(const Terminal& terminal, const Cell& cell, std::string_view text) {
  return cell.colour ? terminal.paint(*cell.colour, text) : std::string(text);
}

std::string spaces(std::size_t count) {
  return std::string(count, ' ');
}

}  // namespace

std::string render_error(const Error& error, const Terminal& terminal) {
  std::string text = "pyro: " + terminal.paint(Colour::red, "error:") + ' ';
  text += printable(error.message()) + '\n';
  for (const std::string& cause : error.causes()) {
    text += terminal.paint(Colour::dim, "  cause:") + ' ' + printable(cause) + '\n';
  }
  if (!error.hint().empty()) {
    text += terminal.paint(Colour::bold, "  hint:") + ' ' + printable(error.hint()) + '\n';
  }
  return text;
}

std::string render_warning(std::string_view text, const Terminal& terminal) {
  return "pyro: " + terminal.paint(Colour::yellow, "warning:") + ' ' + printable(text) + '\n';
}

std::string render_note(std::string_view text) {
  return "pyro: " + printable(text) + '\n';
}

void Table::add(std::vector<Cell> row) {
  for (Cell& cell : row) cell.text = printable(cell.text);
  rows_.push_back(std::move(row));
}

std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    std::size_t width = columns_[i].heading.size();
    for (const auto& row : rows_) width = std::max(width, columns_of(row[i].text));
    widths.push_back(width);
  }
  return widths;
}

std::string Table::render_row(const std::vector<Cell>& row, const std::vector<std::size_t>& widths,
                              const Terminal& terminal) const {
  const std::string_view mark = terminal.unicode() ? "\u2026" : "...";
  std::size_t room = std::numeric_limits<std::size_t>::max();
  if (terminal.interactive()) room = terminal.width();
  std::string line;
  for (std::size_t i = 0; i < row.size() && room > 0; ++i) {
    const std::string text = cut_to(row[i].text, room, mark);
    const std::size_t used = columns_of(text);
    const bool is_last = i + 1 == row.size();
    const std::size_t padding = std::min(widths[i], room) - used;
    const bool pad_before = columns_[i].align == Table::Align::right;
    line += (pad_before ? spaces(padding) : "") + paint(terminal, row[i], text);
    if (!is_last) line += (pad_before ? "" : spaces(padding)) + std::string(kColumnGap);
    room -= std::min(room, std::min(widths[i], room) + kColumnGap.size());
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

std::string Table::render(const Terminal& terminal) const {
  const std::vector<std::size_t> all_widths = widths();
  std::vector<Cell> heading;
  for (const Column& column : columns_) {
    heading.push_back({std::string(column.heading), Colour::bold});
  }
  std::string text = render_row(heading, all_widths, terminal);
  for (const auto& row : rows_) text += render_row(row, all_widths, terminal);
  return text;
}

std::string render_fields(const std::vector<std::pair<std::string_view, Cell>>& fields,
                          const Terminal& terminal) {
  std::size_t width = 0;
  for (const auto& [key, value] : fields) width = std::max(width, key.size());
  std::string text;
  for (const auto& [key, value] : fields) {
    text +=
        terminal.paint(Colour::bold, key) + spaces(width - key.size()) + std::string(kColumnGap);
    text += paint(terminal, value, printable(value.text)) + '\n';
  }
  return text;
}

}  // namespace pyro::cli
