// What has arrived of layers, kept for the next try where this one is interrupted.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <list>
#include <optional>
#include <span>
#include <string>

#include "base/files.h"
#include "net/http.h"
#include "pyro/digest.h"

namespace pyro {

/// The compressed bytes of one layer, as far as they came: written beside the stream, and read back
/// only by a later pull, which trusts them no more than the network. Locked while this lives.
///
/// A transfer that is over in a moment is not worth a second copy, so writing begins after a while:
/// what went by before is a hole in front of the file, and the later pull's to fetch anew.
///
/// Whatever is wrong with the file, the pull goes on without it.
class Partial {
 public:
  /// The file `name` in the directory, made if need be; without a file when somebody else has it.
  /// Writing begins `keep_after` from now.
  Partial(int directory, std::string name, std::uint64_t size,
          std::chrono::milliseconds keep_after);
  /// Stays, unless there is nothing in it.
  ~Partial();
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  /// Where what an earlier pull left begins.
  [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
  /// Hands that on.
  void replay(const BodySink& sink);
  /// The next bytes of the layer; those that came out of replay() are passed over.
  void append(std::span<const std::byte> bytes);

  void discard();

 private:
  int directory_;
  std::string name_;
  Fd file_;  // none: nothing is kept
  std::chrono::steady_clock::time_point keep_from_;
  std::uint64_t begin_ = 0;     // of the bytes in it
  std::uint64_t end_ = 0;       // of them
  std::uint64_t position_ = 0;  // bytes of the layer that went by
};

/// Those of one pull.
class Partials {
 public:
  Partials(std::filesystem::path directory, std::chrono::milliseconds keep_after)
      : path_(std::move(directory)), keep_after_(keep_after) {}

  /// For a blob of that digest and size; valid as long as this is.
  [[nodiscard]] Partial& open(const Digest& digest, std::uint64_t size);

  /// They serve no more: the pull is done, or failed for a reason that stays.
  void discard();

 private:
  std::filesystem::path path_;
  std::chrono::milliseconds keep_after_;
  Fd directory_;
  std::list<Partial> partials_;
};

}  // namespace pyro
