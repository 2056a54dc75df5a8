// Trying again what may work the next time.
//
// Source: RFC 9110 sections 9.2.2 and 10.2.3; section 1.B of the reliability notes.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <utility>

#include "net/http.h"

namespace pyro {

struct RetryOptions {
  /// How often in a row, before giving up; progress begins a new row,
  int retries = 0;
  /// unless it is one row for all.
  bool progress_counts = true;
  /// The first pause; each is twice the one before, at most 30 s, less a random part of up to half.
  std::chrono::milliseconds delay{500};
  /// Up to which pause a server is obeyed that asks for one.
  std::chrono::seconds longest_retry_after{60};
  /// Asking it to stop ends a pause with Error(interrupted).
  std::stop_token stop = {};
  /// Told before each pause.
  std::function<void(const Error& why, std::chrono::milliseconds pause)> on_pause = {};
};

/// Whether that status may be another one a moment later: 408, 429, 500, 502, 503, 504, and what
/// proxies add to them (499, 522).
[[nodiscard]] bool is_transient(int status) noexcept;

/// Throws `error`, as a TransientError if the status of the answer it is about says so.
[[noreturn]] void throw_refusal(const Error& error, const HttpResponse& response);

/// The pause that an answer asks for in Retry-After: seconds, or a date in any of HTTP's forms.
/// Nothing when there is none, or it makes no sense.
[[nodiscard]] std::optional<std::chrono::seconds> retry_after(
    const HttpResponse& response,
    std::chrono::system_clock::time_point now = std::chrono::system_clock::now());

class Retry {
 public:
  explicit Retry(RetryOptions options) : options_(std::move(options)) {}

  /// Runs `work` until it does not throw a TransientError, with pauses between; as long as the
  /// server asks for, where that is not too long.
  /// @throws the last one when there were too many in a row, or the server asks for more.
  template <typename Work>
  auto run(const Work& work) {
    while (true) {
      try {
        return work();
      } catch (TransientError& error) {
        pause(error);
      }
    }
  }

  /// The same for work that goes on where it broke off: `received` says how many bytes there are,
  /// and 64 KiB more than the last time begin a new row of tries, where progress counts.
  template <typename Received, typename Work>
  void run_transfer(const Received& received, const Work& work) {
    std::uint64_t before = received();
    run([&] {
      if (options_.progress_counts && received() - before >= kProgress) tries_ = 0;
      before = received();
      work();
    });
  }

 private:
  static constexpr std::uint64_t kProgress = std::uint64_t{64} << 10;

  void pause(TransientError& error);
  [[nodiscard]] std::chrono::milliseconds next_delay() const;

  RetryOptions options_;
  int tries_ = 0;  // in a row
};

}  // namespace pyro
