// The end of a terminal's input.
//
// A terminal has no end of file: every reader of an empty one waits for keys. So init types the
// end-of-file key when a process waits for them, and removes one that is not read, because a
// program that changes the mode of the terminal later would take it for something else.
#pragma once

#include <string_view>

namespace pyro::guest {

class EndOfInput {
 public:
  static constexpr int kLookInterval = 50;  ///< In milliseconds.

  void note_input(std::string_view bytes) {
    if (!bytes.empty()) last_input_ = bytes.back();
  }

  /// Called repeatedly once all input has been written. `keys` is our end of the terminal,
  /// `terminal` the command's.
  void look(int keys, int terminal);

 private:
  void type(int keys, int terminal);

  char last_input_ = '\n';
  bool has_typed_ = false;  ///< A key that may have to be removed.
  int looks_ = 0;           ///< At an empty terminal, since a key was typed.
  int needed_ = 2;          ///< Looks before a key is typed.
  long long next_look_ = 0;
};

}  // namespace pyro::guest
