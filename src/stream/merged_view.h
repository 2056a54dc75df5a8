// Which members are the environment's artifacts, once all layers are laid over each other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stream/artifacts.h"
#include "stream/link_map.h"

namespace pyro {

/// A member that a link with an artifact's name leads to: it is an artifact under another name.
struct LinkTarget {
  std::size_t kind = 0;  ///< Index in kArtifactKinds.
  std::string path;      ///< In the archive, without links; at most LinkMap::kLongestPath.

  friend bool operator==(const LinkTarget&, const LinkTarget&) = default;
};

/// Follows the layers of an image (image-spec layer.md: later entries replace, whiteouts hide what
/// lower layers have) as far as artifacts are concerned, and chooses at the end (spec section 6):
/// the shallowest candidate of each kind.
///
/// Candidates are kept in files; at most kMostCandidates of a kind, so their files can be opened
/// beforehand.
///
/// What a link leads to is kept if the link came first. Else it has gone by, and the layers have to
/// be read once more, with its name known: members are not kept on the chance that a link to them
/// follows, as nearly none has one.
class MergedView {
 public:
  static constexpr std::size_t kMostCandidates = 4;
  static constexpr std::size_t kFiles = kArtifactKinds.size() * kMostCandidates;

  /// `targets`: what an earlier pass over the same layers found to be missing().
  explicit MergedView(std::vector<LinkTarget> targets = {});

  struct Choice {
    std::size_t kind = 0;
    std::size_t file = 0;
    std::uint64_t size = 0;
  };
  /// What a member is, and its path with the links on the way to it followed.
  struct Role {
    std::size_t kind = 0;
    std::string path;
  };

  void begin_layer();

  /// Of a member at `path`: nothing unless it is an artifact by its name, or a link's target.
  /// @throws Error(integrity) when a link on the way leads out of the archive
  [[nodiscard]] std::optional<Role> role_of(std::string_view path) const;

  /// A regular file with a role; the index of the file to write it to. It replaces what was there.
  /// @throws Error(integrity) for too many candidates.
  [[nodiscard]] std::size_t place(const Role& role, std::uint64_t size);

  /// What place() gave `file` to turned out to be of that size.
  void set_size(std::size_t file, std::uint64_t size);

  /// A symbolic or hard link: it replaces what was there.
  /// @throws Error(integrity) when there are too many of an artifact's name, or of all.
  void link(std::string_view path, std::string_view target, LinkMap::Kind kind);
  /// A directory: it replaces a file of a lower layer, and leaves what is below alone.
  void directory(std::string_view path);
  /// Any other member that is no artifact: it replaces a lower layer's file or tree.
  void other(std::string_view path);
  /// `.wh.<name>`: lower layers' `path` is gone.
  void whiteout(std::string_view path);
  /// `.wh..wh..opq`: all that lower layers have in `directory` is gone.
  void opaque(std::string_view directory);

  struct Outcome {
    /// One choice per artifact there is.
    std::vector<Choice> choices = {};
    /// Unless this is empty: with these and those it had before, the next pass will know more.
    std::vector<LinkTarget> missing = {};
  };
  /// @throws Error(integrity) when a required artifact is missing, two are equally near the top, or
  /// its name is a link out of the archive.
  [[nodiscard]] Outcome choose() const;

 private:
  struct Candidate {
    std::size_t kind = 0;
    std::string path = {};
    unsigned layer = 0;
    bool named = false;                    // an artifact by its name
    std::optional<std::size_t> file = {};  // nothing: a link
    std::uint64_t size = 0;
  };
  struct Target {
    LinkTarget target;
    bool since_the_start = false;  // of this pass, so that it cannot have gone by
  };
  class Choosing;

  [[nodiscard]] std::size_t free_file(std::size_t kind) const;
  [[nodiscard]] const Candidate* find(std::string_view path) const;
  [[nodiscard]] const Target* find_target(std::string_view path) const;
  [[nodiscard]] std::optional<std::size_t> kind_of(std::string_view path) const;
  void replace(std::string_view path);
  void add_link(const Role& role, std::string_view target, LinkMap::Kind kind);
  void expect_target_of(const Role& role);
  template <typename Hidden>
  void hide(Hidden hidden);

  std::vector<Candidate> candidates_;
  std::vector<Target> targets_;
  LinkMap links_;
  unsigned layer_ = 0;
};

}  // namespace pyro
