// The end of a terminal's input, for as long as a command has the terminal.
#pragma once

#include <string_view>

namespace pyro::guest {

/// A process that reads the terminal while it is empty finds an end of file, as often as that
/// happens. That is a key, which is typed when a reader seems to wait for it. A key that stays
/// unread is taken back: a program that changes later what keys mean would misread it.
class EndOfInput {
 public:
  static constexpr int kLookInterval = 50;  ///< In milliseconds.

  void note_input(std::string_view bytes) {
    if (!bytes.empty()) last_input_ = bytes.back();
  }

  /// To be called again and again once all input has been written; looks as often as it has to.
  /// `keys` is the end that is typed on, `terminal` the command's.
  void look(int keys, int terminal);

 private:
  void type(int keys, int terminal);

  char last_input_ = '\n';
  bool has_typed_ = false;  ///< A key that may have to be taken back.
  int looks_ = 0;           ///< At an empty terminal, since something was typed.
  int patience_ = 2;        ///< So many of them before a key is typed.
  long long next_look_ = 0;
};

}  // namespace pyro::guest
