// The fs-verity digest of a file, computed behind its writer while processors are idle.
//
// An image is mostly data at its front and zeros behind. While the data comes, inflating, writing
// and the network want all cores; while the zeros come, all but one are idle. So hashing runs on a
// thread of the scheduler's idle class, which reads new data back out of the page cache: copying it
// there costs a quarter of hashing it, and holding it in memory instead would take as much memory
// as the thread lags behind.
//
// On a busy host that thread may get no turn. The caller never waits for it, but hashes what is
// left itself at the end, including the group that the thread has begun.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "pyro/digest.h"

namespace pyro {

/// Files are hashed one after the other. Their hashes are kept by groups of blocks (FsVerity), so a
/// range may be written again; 1 GiB takes 128 KiB of memory. Functions may be called from several
/// threads, one at a time for begin() and end().
class VerityHasher {
 public:
  VerityHasher();
  /// Waits for the group that the thread has begun.
  ~VerityHasher();
  VerityHasher(const VerityHasher&) = delete;
  VerityHasher& operator=(const VerityHasher&) = delete;

  /// Begins a file, which is open for reading and empty, or has only holes. The descriptor outlives
  /// this object. Errors name the file `subject`.
  void begin(int file, std::string subject);

  /// This range holds data now, for the first time or again.
  void written(std::uint64_t offset, std::uint64_t size);

  /// This range, of whole blocks, is a hole now.
  void freed(std::uint64_t offset, std::uint64_t size);

  /// The digest of the file that was begun last, which has `size` bytes.
  /// @throws Error(filesystem) when it cannot be read, or is shorter than what was written
  [[nodiscard]] Digest end(std::uint64_t size);

 private:
  class Shared;
  std::shared_ptr<Shared> shared_;  // with the thread
};

}  // namespace pyro
