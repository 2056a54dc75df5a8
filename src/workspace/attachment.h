// The input of a client that is attached to a process.
#pragma once

#include <functional>
#include <string_view>
#include <thread>

#include "base/files.h"

namespace pyro {

/// Passes the input of this process on until its end, on a thread of its own.
class AttachedInput {
 public:
  /// `from` is not owned. `is_terminal`: Ctrl-P Ctrl-Q detaches. `on_end` is called at the end of
  /// the input, `on_detach` for these keys.
  AttachedInput(int from, Fd to, bool is_terminal, std::function<void()> on_end,
                std::function<void()> on_detach);
  ~AttachedInput();
  AttachedInput(const AttachedInput&) = delete;
  AttachedInput& operator=(const AttachedInput&) = delete;

 private:
  void pass_on();
  [[nodiscard]] bool pass_on(std::string_view bytes);

  const int from_;
  Fd to_;
  const bool is_terminal_;
  const std::function<void()> on_end_;
  const std::function<void()> on_detach_;
  const Fd stop_;
  bool has_prefix_ = false;  ///< The last key was Ctrl-P.
  std::thread thread_;
};

}  // namespace pyro
