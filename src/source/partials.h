// What has arrived of layers, kept for the next try where this one is interrupted.
#pragma once

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
/// Whatever is wrong with the file, the pull goes on without it.
class Partial {
 public:
  /// The file `name` in the directory, made if need be; without a file when somebody else has it.
  Partial(int directory, std::string name, std::uint64_t size);
  /// Stays, unless there is nothing in it.
  ~Partial();
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  /// Hands on what an earlier pull left.
  void replay(const BodySink& sink);
  /// The next bytes of the layer; those that came out of replay() are passed over.
  void append(std::span<const std::byte> bytes);

  void discard();

 private:
  int directory_;
  std::string name_;
  Fd file_;                     // none: nothing is kept
  std::uint64_t kept_ = 0;      // bytes in it
  std::uint64_t position_ = 0;  // bytes of the layer that went by
};

/// Those of one pull.
class Partials {
 public:
  explicit Partials(std::filesystem::path directory) : path_(std::move(directory)) {}

  /// For a blob of that digest and size; valid as long as this is.
  [[nodiscard]] Partial& open(const Digest& digest, std::uint64_t size);

  /// They serve no more: the pull is done, or failed for a reason that stays.
  void discard();

 private:
  std::filesystem::path path_;
  Fd directory_;
  std::list<Partial> partials_;
};

}  // namespace pyro
