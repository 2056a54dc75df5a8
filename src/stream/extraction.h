// The right-hand side of a pull: compressed layers in, artifacts written to open files.
//
//   write() → pipe → [ decompress → tar → holes ] → [ file, fs-verity ]
//   caller           one thread                     another
//
// It is handed descriptors and opens nothing, so that it can run in a process that could not.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "pyro/environment_store.h"
#include "stream/artifact_writer.h"
#include "stream/artifacts.h"
#include "stream/byte_pipe.h"
#include "stream/decompress.h"
#include "stream/merged_view.h"

namespace pyro {

class Extraction {
 public:
  /// `files`: MergedView::kFiles descriptors open for reading and writing; they stay the caller's
  /// and must outlive this.
  Extraction(std::vector<int> files, const ExtractionLimits& limits);
  /// Without finish() it is given up, whatever was written being worthless.
  ~Extraction();
  Extraction(const Extraction&) = delete;
  Extraction& operator=(const Extraction&) = delete;

  /// The next layer, or the only archive, begins; `label` is what errors call it. Unless the caller
  /// will hold its bytes against a digest, its own checksums have to be checked.
  void begin_layer(std::string label, Checksums checksums = Checksums::check);

  /// Its next compressed bytes; waits while the other side is busy.
  /// @throws Error(integrity) when more came than the limit allows, or when extracting failed a
  /// while ago. It does not throw at once: a caller that hashes the bytes gets to find out that
  /// they are the wrong ones, which is the better thing to say.
  void write(std::span<const std::byte> bytes);

  /// The layer is complete and its digest was right.
  /// @throws what went wrong in extracting, as far as it is known by now.
  void end_layer();

  /// Ends it as soon as possible: the others then throw Error(interrupted). From any thread.
  void abort();

  /// Waits for the last block to be written. The artifacts of all layers, merged.
  /// @throws Error(integrity, filesystem)
  [[nodiscard]] std::vector<WrittenArtifact> finish();

 private:
  struct Layer {
    std::string label;
    Checksums checksums = Checksums::check;
  };

  void run();
  void extract_layers(std::size_t& current);
  [[nodiscard]] Checksums checksums_of(std::size_t layer);
  void rethrow_failure();

  const ExtractionLimits limits_;
  std::uint64_t written_ = 0;    // compressed bytes, all layers
  std::uint64_t discarded_ = 0;  // of them, since extracting failed

  std::atomic<bool> aborted_ = false;
  BytePipe pipe_;
  ArtifactWriter writer_;
  std::mutex mutex_;
  std::vector<Layer> layers_;
  std::vector<WrittenArtifact> artifacts_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace pyro
