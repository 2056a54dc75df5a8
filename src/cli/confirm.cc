// A question to whoever sits at the terminal.
#include "cli/confirm.h"

#include <poll.h>
#include <unistd.h>

#include "pyro/error.h"

namespace pyro::cli {
namespace {

/// A read that a signal interrupts is begun again, so that a request to stop is looked for.
constexpr int kLookAgain = 100;  // ms

/// Without its end of line; what there is at the end of the input.
std::string read_line(const std::stop_token& stop) {
  std::string line;
  while (true) {
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    pollfd input{STDIN_FILENO, POLLIN, 0};
    if (::poll(&input, 1, kLookAgain) <= 0) continue;
    char c = 0;
    if (::read(STDIN_FILENO, &c, 1) != 1 || c == '\n') return line;
    line += c;
  }
}

}  // namespace

bool can_ask(const Terminal& terminal) noexcept {
  return is_terminal(STDIN_FILENO) && terminal.is_terminal();
}

bool confirm(const std::string& question, const Terminal& terminal, const std::stop_token& stop) {
  terminal.try_write(question + " [y/N] ");
  const std::string answer = read_line(stop);
  return answer == "y" || answer == "Y" || answer == "yes";
}

}  // namespace pyro::cli
