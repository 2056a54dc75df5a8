// The end of what somebody says over a descriptor: kept short, however much it is.
#pragma once

#include <string>

#include "base/files.h"

namespace pyro {

class Words {
 public:
  Words() = default;
  explicit Words(Fd source) : source_(std::move(source)) {}

  [[nodiscard]] int descriptor() const noexcept { return source_.get(); }

  /// Takes in what there is, without waiting. After the end the descriptor is -1.
  void take_in();

  [[nodiscard]] const std::string& last() const noexcept { return last_; }

 private:
  Fd source_;
  std::string last_;
};

/// Two ends of a pipe or socket; ours does not block.
struct SocketPair {
  Fd ours;
  Fd theirs;
};
[[nodiscard]] SocketPair make_pipe();

[[nodiscard]] std::string first_line(const std::string& text);

/// Of a guest's console: why the kernel panicked, or what init gave up with, else the last line.
[[nodiscard]] std::string telling_line(const std::string& text);

}  // namespace pyro
