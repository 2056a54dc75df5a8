// Which members are the environment's artifacts, once all layers are laid over each other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "stream/artifacts.h"

namespace pyro {

/// Follows the layers of an image (image-spec layer.md: later entries replace, whiteouts hide what
/// lower layers have) as far as artifacts are concerned, and chooses at the end (spec section 6):
/// the shallowest candidate of each kind.
///
/// Candidates are kept in files; at most kMostCandidates of a kind, so their files can be opened
/// beforehand.
class MergedView {
 public:
  static constexpr std::size_t kMostCandidates = 4;
  static constexpr std::size_t kFiles = kArtifactKinds.size() * kMostCandidates;

  struct Choice {
    std::size_t kind = 0;
    std::size_t file = 0;
    std::uint64_t size = 0;
  };

  void begin_layer() { ++layer_; }

  /// A regular file of artifact `kind` at `path`; the index of the file to write it to.
  /// @throws Error(integrity) for a second one of that path in this layer, or too many candidates.
  [[nodiscard]] std::size_t place(std::size_t kind, std::string_view path, std::uint64_t size);

  /// What place() gave `file` to turned out to be of that size.
  void set_size(std::size_t file, std::uint64_t size);

  /// A directory: it replaces a file of a lower layer, and leaves what is below alone.
  void directory(std::string_view path);
  /// Any other member that is no artifact: it replaces a lower layer's file or tree.
  void other(std::string_view path);
  /// `.wh.<name>`: lower layers' `path` is gone.
  void whiteout(std::string_view path);
  /// `.wh..wh..opq`: all that lower layers have in `directory` is gone.
  void opaque(std::string_view directory);

  /// One choice per artifact there is.
  /// @throws Error(integrity) when a required one is missing or two are equally near the top.
  [[nodiscard]] std::vector<Choice> choose() const;

 private:
  struct Candidate {
    std::size_t kind = 0;
    std::size_t file = 0;
    std::string path;
    std::uint64_t size = 0;
    unsigned layer = 0;
  };

  [[nodiscard]] std::size_t free_file(std::size_t kind) const;
  [[nodiscard]] const Candidate* shallowest(std::size_t kind) const;
  template <typename Hidden>
  void hide(Hidden hidden);

  std::vector<Candidate> candidates_;
  unsigned layer_ = 0;
};

}  // namespace pyro
