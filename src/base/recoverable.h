// Failures after which the same again may succeed.
#pragma once

#include <chrono>
#include <optional>

#include "pyro/error.h"

namespace pyro {

/// What failed may work a moment later: a broken connection, a busy server.
class TransientError : public Error {
 public:
  explicit TransientError(const Error& error,
                          std::optional<std::chrono::seconds> retry_after = std::nullopt)
      : Error(error), retry_after_(retry_after) {}

  /// The pause that the server asks for.
  [[nodiscard]] std::optional<std::chrono::seconds> retry_after() const noexcept {
    return retry_after_;
  }

 private:
  std::optional<std::chrono::seconds> retry_after_;
};

/// The bytes came in several parts, which do not make the whole: once more, from the start, may
/// succeed where going on cannot.
class NeedsRestart : public Error {
 public:
  explicit NeedsRestart(const Error& error) : Error(error) {}
};

}  // namespace pyro
