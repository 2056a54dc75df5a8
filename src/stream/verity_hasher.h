// Hashes artifacts for fs-verity behind their writer, when the machine has time for it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/fs_verity.h"
#include "base/worker.h"
#include "pyro/digest.h"

namespace pyro {

/// A range of a file that holds data: whole blocks, or the file's last bytes.
struct DataRange {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// An image is mostly data at its front and zeros behind. While the data comes, inflating, writing
/// and the network want all cores; while the zeros come, all but one are idle. So hashing gets a
/// thread of low priority, which reads back what was just written, out of the page cache: copying
/// it there costs a quarter of hashing it, and holding it in memory instead would take as much
/// memory as it lags behind.
class VerityHasher {
 public:
  /// `files` are open for reading, stay the caller's, and are named by their index.
  explicit VerityHasher(std::vector<int> files);

  /// A file begins, anew if it was there before; the ranges and the end that follow are its.
  void begin(std::size_t index, std::string subject);
  /// More of it was written; what lies between ranges is a hole. Lends a hand when far behind.
  /// @throws what went wrong on the hasher's thread; so do the others.
  void written(std::vector<DataRange> ranges);
  /// It is complete.
  void end(std::uint64_t size);

  /// Waits until all is hashed; the digests of the files that were, by index.
  [[nodiscard]] std::vector<std::optional<Digest>> finish();

 private:
  struct Order {
    enum class Kind { begin, ranges, end };
    Kind kind = Kind::ranges;
    std::size_t index = 0;
    std::uint64_t size = 0;
    std::string subject = {};
    std::vector<DataRange> ranges = {};
  };

  void carry_out(const Order& order);
  void begin_file(const Order& order);
  void hash(DataRange range);
  void hole_up_to(std::uint64_t offset);

  // Whoever carries out an order: one thread at a time.
  std::vector<int> files_;
  std::vector<std::optional<Digest>> digests_;
  std::unique_ptr<std::byte[]> buffer_;
  FsVerity verity_;
  std::size_t index_ = 0;
  std::string subject_;
  std::uint64_t position_ = 0;  // end of the last range

  Worker<Order> worker_;  // last: it uses all the others
};

}  // namespace pyro
