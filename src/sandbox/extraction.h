// The right-hand side of a pull: compressed layers in, artifacts written to open files.
//
//   write() → shared memory → [ extractor: a process that can reach nothing but those files ]
//   caller
#pragma once

#include <atomic>
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
#include "sandbox/extraction_watch.h"
#include "sandbox/messages.h"
#include "sandbox/shared_pipe.h"
#include "stream/artifacts.h"
#include "stream/layer_form.h"
#include "stream/merged_view.h"

namespace pyro {

/// Links with artifacts' names lead to members that went by before them: another extraction that is
/// given these targets, too, may know enough.
class TargetsMissing : public Error {
 public:
  explicit TargetsMissing(std::vector<LinkTarget> targets);
  [[nodiscard]] const std::vector<LinkTarget>& targets() const noexcept { return targets_; }

 private:
  std::vector<LinkTarget> targets_;
};

class Extraction {
 public:
  /// Is told, once per process, which parts of the sandbox this system lacks.
  using Note = std::function<void(std::string_view)>;

  /// Starts `extractor`, the pyro executable. `files`: MergedView::kFiles descriptors open for
  /// reading and writing; they stay the caller's and must outlive this. `targets`: what earlier
  /// extractions of the same layers found to be missing.
  /// @throws Error(filesystem) when it cannot be started
  Extraction(const std::filesystem::path& extractor, std::vector<int> files,
             const ExtractionLimits& limits, Note note = {},
             const std::vector<LinkTarget>& targets = {}, const Patience& patience = {});
  Extraction(const Extraction&) = delete;
  Extraction& operator=(const Extraction&) = delete;

  /// The next layer, or the only archive, begins; `label` is what errors call it.
  void begin_layer(std::string label, const LayerForm& form = {});

  /// Its next compressed bytes; waits while the other side is busy.
  /// @throws Error(integrity) when more came than the limit allows, or when extracting failed a
  /// while ago. It does not throw at once: a caller that hashes the bytes gets to find out that
  /// they are the wrong ones, which is the better thing to say. With the next chunk where other
  /// bytes would have made no difference: when it was killed or given up.
  void write(std::span<const std::byte> bytes);

  /// The layer is complete and its digest was right.
  /// @throws what went wrong in extracting, as far as it is known by now.
  void end_layer();

  /// Ends it as soon as possible: the others then throw Error(interrupted). From any thread.
  void abort() noexcept;

  /// Waits for the last block to be written. The artifacts of all layers, merged; none of an
  /// archive that was unpacked as a whole.
  /// @throws Error(integrity, filesystem); TargetsMissing
  [[nodiscard]] std::vector<WrittenArtifact> finish();

 private:
  enum class Wait { no, yes };

  Extraction(std::pair<Fd, Fd> sockets, const std::filesystem::path& extractor,
             std::vector<int> files, const ExtractionLimits& limits, Note note,
             const std::vector<LinkTarget>& targets, const Patience& patience);

  [[nodiscard]] bool wait_for_room();
  [[nodiscard]] bool hear(Wait wait);
  [[nodiscard]] std::optional<std::size_t> receive(Wait wait);
  [[nodiscard]] bool wait_for_message();
  void look_after();
  void check_total_size();
  void take(const Message& message);
  void take_ready(const Ready& ready);
  [[nodiscard]] bool may_be_done() const;
  void take_success(const Success& success);
  void take_unpacked(const Unpacked& unpacked);
  void take_incomplete(const Incomplete& incomplete);
  void take_failure(const Failure& failure);
  void take_forbidden_call(const ForbiddenCall& call);
  void take_end();
  [[nodiscard]] Error error_of(const ProcessEnd& end) const;
  void refuse(std::string_view why);
  void fail(Error error, std::size_t layer);
  [[nodiscard]] std::size_t layer_in_work() const;
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
  std::uint64_t discarded_ = 0;  // of them, since extracting failed
  std::vector<Layer> layers_;
  std::vector<std::byte> message_;
  bool ready_ = false;
  bool all_given_ = false;
  bool is_archive_ = false;  // as a whole

  // Either, and the extractor is no more.
  std::optional<std::vector<WrittenArtifact>> artifacts_;
  std::exception_ptr failure_;

  std::atomic<bool> aborted_ = false;
  Fd socket_;
  SharedPipeWriter pipe_;
  Subprocess child_;
  const Patience patience_;
  StallWatch watch_;
};

}  // namespace pyro
