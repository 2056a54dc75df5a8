// Progress of long operations.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

/// Receives the events of a pull. Every function has an empty default, so a listener overrides only
/// the events that it needs. All calls of one operation come from the thread that called the
/// library, in order. They must return quickly, because the transfer waits for them, and must not
/// throw. Texts are in one line and hold no secrets, but may hold bytes from a server.
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

  /// A problem that the user can act on.
  virtual void warning(std::string_view /*text*/) noexcept {}

  /// Further information, which the executable shows with -v.
  virtual void note(std::string_view /*text*/) noexcept {}

  /// A single step, such as a request, for debugging; the executable shows it with -vv.
  virtual void detail(std::string_view /*text*/) noexcept {}
};

}  // namespace pyro
