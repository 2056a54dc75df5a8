// The links of all layers so far, and where a path leads through them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace pyro {

/// Links are remembered as text and followed among the archive's own members, never on a file
/// system. What a link leads to may come behind it, and what lies behind one may come first, so all
/// are kept until the end.
class LinkMap {
 public:
  /// As Linux has them: of a path, and of links on one way.
  static constexpr std::size_t kLongestPath = 4096;
  static constexpr std::size_t kMostFollowed = 40;
  /// Of all names and targets that are kept: many times what a distribution has.
  static constexpr std::size_t kMostText = std::size_t{12} << 20;
  /// Of all ways together: deep names are cheap to make and dear to follow.
  static constexpr std::uint64_t kMostSteps = 1'000'000;

  enum class Kind : bool { symbolic, hard };

  void begin_layer();

  /// A link of the current layer; one that no file system could hold is passed over.
  /// @throws Error(integrity) when there are too many to remember.
  void add(std::string_view path, std::string_view target, Kind kind);
  /// What is at `path` in the current layer is no link any more.
  void replace(std::string_view path);
  /// Lower layers' link at `path`, or those below `directory`, are gone.
  void hide(std::string_view path);
  void hide_below(std::string_view directory);

  enum class Last : bool { keep, follow };
  struct Way {
    enum class End { somewhere, nowhere, outside };
    End end = End::somewhere;
    std::string path = {};    ///< Without links, somewhere. Outside: the link that leads there.
    std::string target = {};  ///< ... and what it says.
  };
  /// Follows the links on the way to `path`, and `last` says whether the one at its end, too.
  /// @throws Error(integrity) when there was too much to follow.
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

/// @throws Error(integrity) that tells of a way that ends outside.
[[noreturn]] void refuse_way_out(const LinkMap::Way& way);

}  // namespace pyro
