// Retry: which failures are temporary, how often work is repeated, and how long the pauses are.
//
// Source: RFC 9110 sections 9.2.2 and 10.2.3.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "net/http.h"

namespace pyro {

struct RetryOptions {
  /// Consecutive retries after a failure.
  int retries = 0;
  /// Whether 64 KiB of progress reset the count of retries.
  bool progress_counts = true;
  /// The first pause; each is twice the one before, at most 30 s, less a random part of up to half.
  std::chrono::milliseconds delay{500};
  /// The longest pause that a server may ask for.
  std::chrono::seconds max_retry_after{60};
  /// Asking it to stop ends a pause with Error(interrupted).
  std::stop_token stop = {};
  /// Called before each pause.
  std::function<void(const Error& why, std::chrono::milliseconds pause)> on_pause = {};
};

/// Whether the same request may get another status a moment later: 408, 429, 500, 502, 503, 504,
/// and the codes that proxies add (499, 522).
[[nodiscard]] bool is_transient(int status) noexcept;

/// Throws `error`, as a TransientError if the status of its response is transient.
[[noreturn]] void throw_by_status(const Error& error, const HttpResponse& response);

/// The pause that Retry-After asks for: seconds, or a date in any of HTTP's forms. Nothing when
/// there is none, or it makes no sense.
[[nodiscard]] std::optional<std::chrono::seconds> retry_after(
    const HttpResponse& response,
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

/// Repeats work that fails with a TransientError. Work is a whole request, redirects included: the
/// target of a redirect may have expired.
class Retry {
 public:
  explicit Retry(RetryOptions options) : options_(std::move(options)) {}

  /// Runs `work` until it does not throw a TransientError. Pauses in between, as long as the server
  /// asks for if that is not too long. Work that resumes has `received`, the number of bytes so
  /// far.
  /// @throws the last one after too many retries, or when the server asks for a longer pause.
  template <typename Work>
  auto run(const Work& work, const std::function<std::uint64_t()>& received = {}) {
    while (true) {
      const std::uint64_t before = received ? received() : 0;
      try {
        return work();
      } catch (TransientError& error) {
        const std::uint64_t progress = received ? received() - before : 0;
        if (options_.progress_counts && progress >= kProgress) tries_ = 0;
        pause(error);
      }
    }
  }

 private:
  static constexpr std::uint64_t kProgress = std::uint64_t{64} << 10;

  void pause(TransientError& error);
  [[nodiscard]] std::chrono::milliseconds next_delay() const;

  RetryOptions options_;
  int tries_ = 0;  // in a row
};

}  // namespace pyro
