// Compressed layers in, artifacts written to open files by a sandboxed process.
//
//   write() → shared memory → [ extractor: a process that can reach nothing but those files ]
//   caller
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/subprocess.h"
#include "pyro/error.h"
#include "pyro/limits.h"
#include "sandbox/messages.h"
#include "sandbox/shared_pipe.h"
#include "stream/artifacts.h"
#include "stream/extract.h"
#include "stream/merged_view.h"

namespace pyro {

/// The targets of links with artifacts' names came before the links: another extraction with these
/// targets, in addition, may succeed.
class TargetsMissing : public Error {
 public:
  explicit TargetsMissing(std::vector<LinkTarget> targets);
  [[nodiscard]] const std::vector<LinkTarget>& targets() const noexcept { return targets_; }

 private:
  std::vector<LinkTarget> targets_;
};

/// What is wanted of an extraction.
struct ExtractionRequest {
  ExtractionProduct product = ExtractionProduct::artifacts;
  /// The TargetsMissing of earlier extractions of the same layers.
  std::vector<LinkTarget> targets = {};
  /// Of a distribution's file system, in bytes; 0: a quarter of its content is free.
  std::uint64_t size = 0;
};

/// When an extractor that sends nothing is given up.
struct StallLimit {
  std::chrono::milliseconds interval{250};  ///< Between two checks.
  unsigned checks = 40;                     ///< The limit of checks in a row without progress.

  [[nodiscard]] std::chrono::seconds total() const {
    return std::chrono::ceil<std::chrono::seconds>(interval * checks);
  }
};

/// Whether a process does nothing for too long. Time alone does not count: a process works that
/// used a processor, or waits for one or for a disk.
class StallWatch {
 public:
  StallWatch(pid_t process, unsigned checks) : process_(process), max_checks_(checks) {}

  /// It sent a message.
  void progress() noexcept { idle_checks_ = 0; }

  /// To be called after each interval without a message. True after too many idle ones in a row.
  [[nodiscard]] bool has_stalled();

 private:
  const pid_t process_;
  const unsigned max_checks_;
  unsigned idle_checks_ = 0;
  std::chrono::nanoseconds used_{-1};  // processor time
};

/// One extraction: starts the extractor, sends it compressed layers, and checks its messages. Not
/// thread-safe.
class SandboxedExtractor {
 public:
  /// Called once per process with the parts of the sandbox that this system lacks.
  using Note = std::function<void(std::string_view)>;

  /// Starts `extractor`, the pyro executable. `files`: MergedView::kFiles descriptors open for
  /// reading and writing; they stay the caller's and must outlive this.
  /// @throws Error(filesystem) when it cannot be started
  SandboxedExtractor(const std::filesystem::path& extractor, std::vector<int> files,
                     const ExtractionLimits& limits, Note note = {},
                     const ExtractionRequest& request = {}, const StallLimit& stall_limit = {});
  SandboxedExtractor(const SandboxedExtractor&) = delete;
  SandboxedExtractor& operator=(const SandboxedExtractor&) = delete;

  /// Begins the next layer, or the only archive. Errors name it `label`.
  void begin_layer(std::string label, const LayerForm& form = {});

  /// Its next compressed bytes; blocks while the extractor is busy.
  /// @throws Error(integrity) above the limit of bytes, or after a failed extraction. After a
  /// failure some more bytes are accepted and discarded, so that a caller that hashes them can
  /// report wrong bytes first. If the extractor was killed or stalled, the next chunk throws.
  void write(std::span<const std::byte> bytes);

  /// The layer is complete and its digest was right.
  /// @throws the failure of the extractor, if it is known by now
  void end_layer();

  /// Ends it as soon as possible: the other functions then throw Error(interrupted). From any
  /// thread.
  void abort() noexcept;

  /// Waits for the last block to be written. Returns the merged artifacts of all layers; for a
  /// container image its file system alone; for another archive that was unpacked as a whole,
  /// nothing.
  /// @throws Error(integrity, filesystem); TargetsMissing
  [[nodiscard]] std::vector<WrittenArtifact> finish();

 private:
  enum class Wait { no, yes };

  SandboxedExtractor(std::pair<Fd, Fd> sockets, const std::filesystem::path& extractor,
                     std::vector<int> files, const ExtractionLimits& limits, Note note,
                     const ExtractionRequest& request, const StallLimit& stall_limit);

  [[nodiscard]] bool wait_for_space();
  [[nodiscard]] bool receive_message(Wait wait);
  [[nodiscard]] std::optional<std::size_t> receive_datagram(Wait wait);
  [[nodiscard]] bool wait_for_message();
  void check_progress();
  void check_total_size();
  void on_message(const Message& message);
  void on_ready(const Ready& ready);
  [[nodiscard]] bool may_be_done() const;
  void on_success(const Success& success);
  void on_unpacked(const Unpacked& unpacked);
  void on_incomplete(const Incomplete& incomplete);
  void on_failure(const Failure& failure);
  void on_forbidden_call(const ForbiddenCall& call);
  void on_end();
  [[nodiscard]] Error error_of(const ProcessEnd& end) const;
  void protocol_error(std::string_view why);
  void fail(Error error, std::size_t layer);
  [[nodiscard]] std::size_t current_layer() const;
  void rethrow_failure() const;

  /// A layer, and the number of the chunk it begins with.
  struct Layer {
    std::string label;
    std::size_t first_chunk = 0;
  };

  const std::filesystem::path extractor_;
  const std::vector<int> files_;
  const ExtractionLimits limits_;
  const Note note_;
  std::uint64_t written_ = 0;    // compressed bytes, all layers
  std::uint64_t discarded_ = 0;  // those of them after extracting failed
  std::vector<Layer> layers_;
  std::vector<std::byte> message_;
  bool ready_ = false;
  bool all_given_ = false;
  bool is_archive_ = false;  // as a whole
  const ExtractionProduct product_;

  // One of them is set when the extractor has ended.
  std::optional<std::vector<WrittenArtifact>> artifacts_;
  std::exception_ptr failure_;

  std::atomic<bool> aborted_ = false;
  Fd socket_;
  SharedPipeWriter pipe_;
  Subprocess child_;
  const StallLimit stall_limit_;
  StallWatch watch_;
};

}  // namespace pyro
