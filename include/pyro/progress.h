// What a long operation tells while it runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

/// Receives the story of a pull. Every function has an empty default, so a listener overrides what
/// it wants to show. All calls of one operation come from the thread that called the store, in
/// order, and must return quickly: the network waits for them. Nothing is thrown through them.
class ProgressListener {
 public:
  virtual ~ProgressListener() = default;

  /// A pull of `environment` begins; `source` is where from ("registry.example/team/env:1.0.0").
  virtual void started(std::string_view /*environment*/, std::string_view /*source*/) noexcept {}

  /// The number of compressed bytes to come is known; for some archives it never is.
  virtual void expecting(std::uint64_t /*compressed_bytes*/) noexcept {}

  /// `compressed_bytes` have arrived so far, over all layers. Many times a second.
  virtual void received(std::uint64_t /*compressed_bytes*/) noexcept {}

  /// Everything has arrived and is being made durable.
  virtual void committing() noexcept {}

  /// The pull is over and stands on disk; never called for a pull that failed. `installed_bytes`
  /// is what the environment takes on disk.
  virtual void finished(std::string_view /*environment*/, std::uint64_t /*received_bytes*/,
                        std::uint64_t /*installed_bytes*/) noexcept {}

  /// A request failed and is made again after `pause`; `why` is one line.
  virtual void retrying(std::string_view /*environment*/, std::string_view /*why*/,
                        std::chrono::milliseconds /*pause*/) noexcept {}

  /// Another process holds the environment's lock; `holder` is its process id when known.
  virtual void waiting(std::string_view /*environment*/, std::optional<int> /*holder*/) noexcept {}

  /// Something the user should know and can act on, in one line.
  virtual void warning(std::string_view /*text*/) noexcept {}

  /// Something worth knowing, in one line, for those who asked to be told more.
  virtual void note(std::string_view /*text*/) noexcept {}

  /// A single step on the way, a request say, in one line, for those who look for a fault. Holds no
  /// secrets.
  virtual void detail(std::string_view /*text*/) noexcept {}
};

}  // namespace pyro
