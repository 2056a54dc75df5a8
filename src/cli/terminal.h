// Terminals: output with colours, raw mode, questions.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "front/settings.h"

namespace pyro::cli {

enum class Colour { red, green, yellow, bold, dim };

class Terminal {
 public:
  struct Abilities {
    bool interactive = false;  ///< A terminal that can redraw lines.
    bool colour = false;
    bool unicode = false;
  };

  Terminal(int fd, Abilities abilities) : fd_(fd), abilities_(abilities) {}

  [[nodiscard]] bool interactive() const noexcept { return abilities_.interactive; }
  /// A terminal, even if it cannot redraw lines.
  [[nodiscard]] bool is_terminal() const noexcept;
  [[nodiscard]] bool unicode() const noexcept { return abilities_.unicode; }
  [[nodiscard]] bool colour() const noexcept { return abilities_.colour; }

  /// The columns at this moment, as windows are resized; 80 where the width is unknown.
  [[nodiscard]] std::size_t width() const noexcept;

  /// `text` in that colour, or as it is where there are no colours.
  [[nodiscard]] std::string paint(Colour colour, std::string_view text) const;

  /// Writes all of `text`. A reader that went away is no error: `pyro env list | head -1`.
  /// @throws Error(filesystem) for any other failure: a full disk.
  void write(std::string_view text) const;

  /// The same, ignoring failures.
  void try_write(std::string_view text) const noexcept;

 private:
  int fd_;
  Abilities abilities_;
};

/// Whether `fd` is a terminal.
[[nodiscard]] bool is_terminal(int fd) noexcept;

/// Opens a placeholder for each standard stream that is closed: otherwise the next file opened
/// would get its number, and messages would be written into it. Writes to a closed standard output
/// still fail.
void fill_standard_streams() noexcept;

/// Standard output or standard error as the variables describe it: TERM=dumb cannot redraw,
/// NO_COLOR is obeyed, the locale says whether more than ASCII is shown.
[[nodiscard]] Terminal standard_terminal(int fd, const Variables& variables);

/// Puts the terminal `fd` into raw mode for its lifetime: every key is read as it is pressed,
/// Ctrl-C too, and none is shown. Does nothing for other files. At most one object at a time.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
};

/// Ends the raw mode of a RawTerminal. Async-signal-safe.
void restore_terminal() noexcept;

/// Whether an answer is shown while it is typed.
enum class Answer { shown, hidden };

/// Shows `question` on `terminal`, reads a line from standard input, which must be a terminal, and
/// returns it without its end.
/// @throws Error(interrupted), with the terminal as it was; (usage) at the end of the input.
[[nodiscard]] std::string ask(const Terminal& terminal, const std::string& question, Answer answer,
                              const std::stop_token& stop);

/// Returns all of standard input without one final line end, which `echo` and files add to a
/// password.
/// @throws Error(usage) above 64 KiB; (interrupted).
[[nodiscard]] std::string read_secret(const std::stop_token& stop);

}  // namespace pyro::cli
