// Progress of long operations.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

/// What an operation counts.
enum class ProgressUnit { bytes, steps };

/// "bytes", "steps".
[[nodiscard]] constexpr std::string_view to_string(ProgressUnit unit) noexcept {
  return unit == ProgressUnit::bytes ? "bytes" : "steps";
}

/// Work that may take over a second. The texts are valid during the call that passes them.
struct Operation {
  std::string_view name;     ///< "verifying", "booting"
  std::string_view subject;  ///< An environment, a file or a host.
  std::string_view detail = {};
  ProgressUnit unit = ProgressUnit::steps;
  std::optional<std::uint64_t> total = {};  ///< In units; nothing if it is unknown.
};

/// Receives the events of pulls and of other operations. Every function has an empty default, so a
/// listener overrides only the events that it needs. All calls of one operation come from the
/// thread that called the library, in order. They must return quickly, because the transfer waits
/// for them, and must not throw. Texts are in one line and hold no secrets, but may hold bytes from
/// a server.
class ProgressListener {
 public:
  virtual ~ProgressListener() = default;

  /// A pull of `environment` begins, from `source` ("registry.example/team/env:1.0.0").
  virtual void started(std::string_view /*environment*/, std::string_view /*source*/) noexcept {}

  /// The total of compressed bytes is now known. Never called for archives of unknown size.
  virtual void expecting(std::uint64_t /*compressed_bytes*/) noexcept {}

  /// `compressed_bytes` were received so far, of all layers. Called many times a second.
  virtual void received(std::uint64_t /*compressed_bytes*/) noexcept {}

  /// All bytes were received; the install is being made durable.
  virtual void committing() noexcept {}

  /// The install is durable. Not called for a pull that failed. `installed_bytes` is its disk
  /// space.
  virtual void finished(std::string_view /*environment*/, std::uint64_t /*received_bytes*/,
                        std::uint64_t /*installed_bytes*/) noexcept {}

  /// A request failed for the reason `why`, and is repeated after `pause`.
  virtual void retrying(std::string_view /*environment*/, std::string_view /*why*/,
                        std::chrono::milliseconds /*pause*/) noexcept {}

  /// Another process holds the environment's lock; `holder` is its process id, if known.
  virtual void waiting(std::string_view /*environment*/, std::optional<int> /*holder*/) noexcept {}

  /// An operation begins; the one before has ended. It may be part of a pull.
  virtual void operation_started(const Operation& /*operation*/) noexcept {}

  /// The detail of the operation has changed: the name of its next step, say.
  virtual void operation_detail(std::string_view /*detail*/) noexcept {}

  /// `done` units of the operation are done. Called for each piece of data that is read or written.
  virtual void operation_advanced(std::uint64_t /*done*/) noexcept {}

  /// The operation has ended, with or without success.
  virtual void operation_finished() noexcept {}

  /// A run has left a prepared state of `environment`: its next runs resume.
  virtual void prepared(std::string_view /*environment*/) noexcept {}

  /// Connections to a port of the host go to a port of the machine that has just started.
  virtual void published(std::string_view /*address*/, std::uint16_t /*port*/,
                         std::uint16_t /*guest_port*/) noexcept {}

  /// A problem that the user can act on.
  virtual void warning(std::string_view /*text*/) noexcept {}

  /// Further information, which the executable shows with -v.
  virtual void note(std::string_view /*text*/) noexcept {}

  /// A single step, such as a request, for debugging; the executable shows it with -vv.
  virtual void detail(std::string_view /*text*/) noexcept {}
};

/// Reports an operation to a listener, which may be null, for as long as it exists.
class RunningOperation {
 public:
  RunningOperation(ProgressListener* listener, const Operation& operation) noexcept
      : listener_(listener) {
    if (listener_ != nullptr) listener_->operation_started(operation);
  }
  ~RunningOperation() {
    if (listener_ != nullptr) listener_->operation_finished();
  }
  RunningOperation(const RunningOperation&) = delete;
  RunningOperation& operator=(const RunningOperation&) = delete;

  void add(std::uint64_t units) noexcept {
    done_ += units;
    if (listener_ != nullptr) listener_->operation_advanced(done_);
  }

  void set_detail(std::string_view detail) noexcept {
    if (listener_ != nullptr) listener_->operation_detail(detail);
  }

 private:
  ProgressListener* listener_;
  std::uint64_t done_ = 0;
};

}  // namespace pyro
