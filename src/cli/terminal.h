// One of the standard streams, and what it can show.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pyro::cli {

enum class Colour { red, green, yellow, bold, dim };

class Terminal {
 public:
  struct Abilities {
    bool interactive = false;  ///< Somebody is looking, and lines can be redrawn.
    bool colour = false;
    bool unicode = false;
  };

  Terminal(int fd, Abilities abilities) : fd_(fd), abilities_(abilities) {}

  [[nodiscard]] bool interactive() const noexcept { return abilities_.interactive; }
  /// Somebody is looking, even if lines cannot be redrawn.
  [[nodiscard]] bool is_terminal() const noexcept;
  [[nodiscard]] bool unicode() const noexcept { return abilities_.unicode; }
  [[nodiscard]] bool colour() const noexcept { return abilities_.colour; }

  /// In columns, asked for anew each time, since windows are resized; 80 where nobody knows.
  [[nodiscard]] std::size_t width() const noexcept;

  /// `text` in that colour, or as it is where there are no colours.
  [[nodiscard]] std::string paint(Colour colour, std::string_view text) const;

  /// Puts out all of `text`. A reader that went away is no error: `pyro env list | head -1`.
  /// @throws Error(filesystem) when it cannot be written for another reason: a full disk.
  void write(std::string_view text) const;

  /// The same for what must never be in the way: failures are dropped.
  void try_write(std::string_view text) const noexcept;

 private:
  int fd_;
  Abilities abilities_;
};

/// Whether `fd` is a terminal.
[[nodiscard]] bool is_terminal(int fd) noexcept;

/// Opens something in the place of standard streams that are closed: the next file opened would
/// otherwise get their number, and messages would be written into it. Writes to a standard output
/// that was closed still fail.
void fill_standard_streams() noexcept;

}  // namespace pyro::cli
