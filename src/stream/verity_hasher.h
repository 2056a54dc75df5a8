// Hashes artifacts for fs-verity behind their writer, when the machine has time for it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fs_verity.h"
#include "pyro/digest.h"

namespace pyro {

/// A range of a file that holds data: whole blocks, or the file's last bytes.
struct DataRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// An image is mostly data at its front and zeros behind. While the data comes, inflating, writing
/// and the network want all cores; while the zeros come, all but one are idle. So hashing gets a
/// thread in the scheduler's idle class, which reads back what was just written, out of the page
/// cache: copying it there costs a quarter of hashing it, and holding it in memory instead would
/// take as much memory as it lags behind.
///
/// On a busy host that thread may get no turn at all. It is never waited for: the caller hashes
/// what is left, and the piece that the thread has begun as well.
class VerityHasher {
 public:
  /// `files` are open for reading, stay the caller's, and are named by their index. The thread may
  /// read from their descriptors, to no effect, until it notices that this is gone.
  explicit VerityHasher(std::vector<int> files);
  ~VerityHasher();
  VerityHasher(const VerityHasher&) = delete;
  VerityHasher& operator=(const VerityHasher&) = delete;

  /// A file begins, anew if it was there before; the ranges and the end that follow are its.
  void begin(std::size_t index, std::string subject);
  /// More of it was written; what lies between ranges is a hole. Lends a hand when far behind.
  /// @throws Error(filesystem) when it cannot be read; so do the others.
  void written(const std::vector<DataRange>& ranges);
  /// It is complete.
  void end(std::uint64_t size);

  /// Hashes what is left; the digests of the files that were, by index.
  [[nodiscard]] std::vector<std::optional<Digest>> finish();

 private:
  struct Piece;
  class Shared;

  void catch_up();
  void take(const std::vector<Piece>& pieces);
  void hole_up_to(std::uint64_t offset);

  std::vector<int> files_;
  std::vector<std::optional<Digest>> digests_;
  std::vector<std::byte> buffer_;
  FsVerity verity_;
  std::size_t index_ = 0;
  std::string subject_;
  std::uint64_t position_ = 0;  // end of the last range

  std::shared_ptr<Shared> shared_;  // with the thread
};

}  // namespace pyro
