// The environment's artifacts among the members of all layers, laid over each other.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "stream/artifacts.h"

namespace pyro {

/// The target of a link that has an artifact's name: an artifact under another name.
struct LinkTarget {
  std::size_t kind = 0;  ///< Index in kArtifactKinds.
  std::string path;      ///< In the archive, without links; at most LinkMap::kMaxPath.

  friend bool operator==(const LinkTarget&, const LinkTarget&) = default;
};

/// The links of all layers so far. They are kept as text and followed among the archive's own
/// members, never on a file system. A link may come before or after its target, so all are kept
/// until the end.
class LinkMap {
 public:
  /// Linux's limits of a path and of the links on one way.
  static constexpr std::size_t kMaxPath = 4096;
  static constexpr std::size_t kMaxFollowed = 40;
  /// Of all names and targets that are kept: many times those of a distribution.
  static constexpr std::size_t kMaxText = std::size_t{12} << 20;
  /// Of all calls together: deep names are cheap to make and expensive to follow.
  static constexpr std::uint64_t kMaxSteps = 1'000'000;

  enum class Kind : bool { symbolic, hard };

  void begin_layer();

  /// A link of the current layer; ignored when it is too long for a file system.
  /// @throws Error(integrity) when there are too many.
  void add(std::string_view path, std::string_view target, Kind kind);
  /// Another member took the place of a link at `path` in the current layer.
  void replace(std::string_view path);
  /// Removes lower layers' link at `path`, or those below `directory`.
  void hide(std::string_view path);
  void hide_below(std::string_view directory);

  enum class Last : bool { keep, follow };
  struct Way {
    enum class End { somewhere, nowhere, outside };
    End end = End::somewhere;
    std::string path = {};    ///< For `somewhere`, without links. For `outside`, of the last link.
    std::string target = {};  ///< For `outside`, of that link.
  };
  /// Follows the links on the way to `path`, and with Last::follow the one at its end.
  /// @throws Error(integrity) above kMaxSteps.
  [[nodiscard]] Way follow(std::string_view path, Last last) const;

 private:
  struct Link {
    std::string target;
    Kind kind = Kind::symbolic;
  };
  using Links = std::map<std::string, Link, std::less<>>;

  [[nodiscard]] const Link* find(std::string_view path) const;
  void erase(Links& links, Links::const_iterator link);

  Links lower_;
  Links current_;
  std::size_t text_ = 0;
  mutable std::uint64_t steps_ = 0;
};

/// Follows the layers of an image (image-spec layer.md: later entries replace, whiteouts hide
/// entries of lower layers) as far as artifacts are concerned, and chooses at the end the
/// shallowest candidate of each kind.
///
/// Candidates are kept in files that are opened beforehand: at most kMaxCandidates of a kind.
///
/// A link's target is kept if the link came first. Otherwise the layers have to be read once more,
/// with its name known: keeping all members for links that may follow would cost every pull.
class MergedView {
 public:
  static constexpr std::size_t kMaxCandidates = 4;
  static constexpr std::size_t kFiles = kArtifactKinds.size() * kMaxCandidates;

  /// `targets`: Outcome::missing of earlier passes over the same layers.
  explicit MergedView(std::vector<LinkTarget> targets = {});

  struct Choice {
    std::size_t kind = 0;
    std::size_t file = 0;
    std::uint64_t size = 0;
  };
  /// The kind of a member, and its path with the links on the way followed.
  struct Role {
    std::size_t kind = 0;
    std::string path;
  };

  void begin_layer();

  /// The role of a member at `path`: nothing unless it is an artifact by its name, or a link's
  /// target.
  /// @throws Error(integrity) when a link on the way leads out of the archive
  [[nodiscard]] std::optional<Role> role_of(std::string_view path) const;

  /// A regular file with a role; the index of the file to write it to. It replaces an earlier
  /// entry.
  /// @throws Error(integrity) for too many candidates.
  [[nodiscard]] std::size_t place(const Role& role, std::uint64_t size);

  /// The real size of the member that place() gave `file` to.
  void set_size(std::size_t file, std::uint64_t size);

  /// A symbolic or hard link: it replaces an earlier entry.
  /// @throws Error(integrity) when there are too many of an artifact's name, or of all.
  void link(std::string_view path, std::string_view target, LinkMap::Kind kind);
  /// A directory: it replaces a file of a lower layer, and keeps the entries below.
  void directory(std::string_view path);
  /// Any other member without a role: it replaces a lower layer's file or tree.
  void other(std::string_view path);
  /// `.wh.<name>`: lower layers' `path` is gone.
  void whiteout(std::string_view path);
  /// `.wh..wh..opq`: all that lower layers have in `directory` is gone.
  void opaque(std::string_view directory);

  struct Outcome {
    /// One choice per artifact there is.
    std::vector<Choice> choices = {};
    /// Targets that the next pass needs in addition to those of this one.
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
    bool since_the_start = false;  // of this pass: no member of this path was skipped
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
