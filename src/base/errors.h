// Errors with a meaning for the code that catches them.
#pragma once

#include <chrono>
#include <limits>
#include <optional>
#include <string>

#include "pyro/error.h"

namespace pyro {

/// A failure that may pass: a broken connection, a busy server.
class TransientError : public Error {
 public:
  explicit TransientError(const Error& error,
                          std::optional<std::chrono::seconds> retry_after = std::nullopt,
                          int max_retries = std::numeric_limits<int>::max())
      : Error(error), retry_after_(retry_after), max_retries_(max_retries) {}

  /// The pause that the server asks for.
  [[nodiscard]] std::optional<std::chrono::seconds> retry_after() const noexcept {
    return retry_after_;
  }
  /// The limit of useful retries in a row, whatever the user allows.
  [[nodiscard]] int max_retries() const noexcept { return max_retries_; }

 private:
  std::optional<std::chrono::seconds> retry_after_;
  int max_retries_;
};

/// Runs `work`. Its errors, interruptions excepted, get `subject` as context.
template <typename Work>
auto with_context(const std::string& subject, const Work& work) {
  try {
    return work();
  } catch (Error& error) {
    if (error.code() != ErrorCode::interrupted) error.add_context(subject);
    throw;
  }
}

/// The exception that is being handled: an Error as it is, anything else as Error(failed). For the
/// outermost catch clauses; all others let other exceptions pass.
[[nodiscard]] Error caught_error();

}  // namespace pyro
