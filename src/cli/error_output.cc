// How a failure is told to a person.
#include "cli/error_output.h"

#include "cli/printable.h"

namespace pyro::cli {

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

}  // namespace pyro::cli
