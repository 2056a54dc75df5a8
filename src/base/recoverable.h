// Failures after which the same again may succeed.
#pragma once

#include <chrono>
#include <limits>
#include <optional>

#include "pyro/error.h"

namespace pyro {

/// What failed may work a moment later: a broken connection, a busy server.
class TransientError : public Error {
 public:
  explicit TransientError(const Error& error,
                          std::optional<std::chrono::seconds> retry_after = std::nullopt,
                          int most_retries = std::numeric_limits<int>::max())
      : Error(error), retry_after_(retry_after), most_retries_(most_retries) {}

  /// The pause that the server asks for.
  [[nodiscard]] std::optional<std::chrono::seconds> retry_after() const noexcept {
    return retry_after_;
  }
  /// How many retries in a row are worth their time, whatever the user allows.
  [[nodiscard]] int most_retries() const noexcept { return most_retries_; }

 private:
  std::optional<std::chrono::seconds> retry_after_;
  int most_retries_;
};

/// The bytes came in several parts, which do not make the whole: once more, from the start, may
/// succeed where going on cannot.
class NeedsRestart : public Error {
 public:
  explicit NeedsRestart(const Error& error) : Error(error) {}
};

}  // namespace pyro
