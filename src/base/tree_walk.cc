// A directory tree of any depth.
#include "base/tree_walk.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include "base/files.h"

namespace pyro {
namespace {

/// How many directories on the way are open: trees are rarely deeper, and where they are, the
/// others are opened again as "..".
constexpr std::size_t kMostOpen = 16;

class TreeWalk {
 public:
  TreeWalk(int directory, const std::filesystem::path& path, const TreeSteps& steps)
      : directory_(directory), path_(path), steps_(steps) {}

  void run(const std::string& name) {
    step_to(name);
    while (!levels_.empty()) {
      std::vector<std::string>& names = levels_.back().names;
      if (names.empty()) {
        ascend();
        continue;
      }
      const std::string next = std::move(names.back());
      names.pop_back();
      step_to(next);
    }
  }

 private:
  /// A directory on the way.
  struct Level {
    std::string name;
    Fd fd;
    struct stat status {};
    std::vector<std::string> names;  ///< In it, those still to come.
  };

  [[nodiscard]] int current() const {
    return levels_.empty() ? directory_ : levels_.back().fd.get();
  }

  [[nodiscard]] std::filesystem::path path_of(const std::string& name) const {
    if (levels_.empty()) return path_;
    std::string below;
    for (std::size_t i = 1; i < levels_.size(); ++i) below += levels_[i].name + '/';
    return path_ / (below + name);
  }

  template <typename Step>
  auto take(const Step& step, const std::string& name) {
    const std::function<std::filesystem::path()> path = [&] { return path_of(name); };
    return step({.directory = current(), .name = name, .path = path});
  }

  void step_to(const std::string& name) {
    if (!take(steps_.visit, name)) return;
    try {
      descend(name);
    } catch (Error& error) {
      if (steps_.failed) steps_.failed(std::move(error));
    }
  }

  void descend(const std::string& name) {
    Level level{.name = name, .fd = try_open_directory(current(), name), .names = {}};
    if (!level.fd && errno == ENOENT) return;  // another process removes it, too
    if (!level.fd || ::fstat(level.fd.get(), &level.status) != 0) {
      throw system_error("cannot open " + path_of(name).string(), errno);
    }
    level.names = sorted_names(level.fd.get(), path_);  // a full path costs the depth
    std::ranges::reverse(level.names);                  // taken from behind
    levels_.push_back(std::move(level));
    if (levels_.size() > kMostOpen) levels_[levels_.size() - 1 - kMostOpen].fd.reset();
  }

  void ascend() {
    const Level left = std::move(levels_.back());
    levels_.pop_back();
    if (!levels_.empty() && !levels_.back().fd) reopen(left.fd.get());
    if (steps_.leave) take(steps_.leave, left.name);
  }

  /// The directory above `child`, which is where it was, or else not ours.
  void reopen(int child) {
    Level& level = levels_.back();
    level.fd = try_open_directory(child, "..");
    struct stat status {};
    if (level.fd && ::fstat(level.fd.get(), &status) == 0 && same_file(status, level.status)) {
      return;
    }
    throw Error(ErrorCode::filesystem, path_.string() + " was changed meanwhile");
  }

  const int directory_;
  const std::filesystem::path& path_;
  const TreeSteps& steps_;
  std::vector<Level> levels_;
};

/// Removes as much as it can, and remembers why not all.
class TreeRemoval {
 public:
  TreeRemoval(int directory, const std::filesystem::path& path)
      : directory_(directory), path_(path) {}

  void run(const std::string& name) {
    walk_tree(directory_, name, path_,
              {.visit = [this](const TreePlace& place) { return try_remove(place); },
               .leave = [this](const TreePlace& place) { remove_empty(place); },
               .failed = [this](Error error) { keep(std::move(error)); }});
    if (first_) throw *std::move(first_);
  }

 private:
  /// Whether it is a directory with something in it. An empty one goes without a descriptor, of
  /// which there may be none left.
  bool try_remove(const TreePlace& place) {
    const char* const name = place.name.c_str();
    if (::unlinkat(place.directory, name, 0) == 0 || errno == ENOENT) return false;
    if (errno == EISDIR) return ::unlinkat(place.directory, name, AT_REMOVEDIR) != 0;
    keep(place, errno);
    return false;
  }

  /// An error in it, which is kept already, may have left something in it.
  void remove_empty(const TreePlace& place) {
    if (::unlinkat(place.directory, place.name.c_str(), AT_REMOVEDIR) == 0) return;
    if (errno != ENOENT) keep(place, errno);
  }

  void keep(const TreePlace& place, int error_number) {
    if (!first_) keep(system_error("cannot remove " + place.path().string(), error_number));
  }

  void keep(Error error) {
    if (!first_) first_ = std::move(error);
  }

  const int directory_;
  const std::filesystem::path& path_;
  std::optional<Error> first_;
};

}  // namespace

void walk_tree(int directory, const std::string& name, const std::filesystem::path& path,
               const TreeSteps& steps) {
  TreeWalk(directory, path, steps).run(name);
}

void remove_tree_at(int directory, const std::string& name, const std::filesystem::path& path) {
  TreeRemoval(directory, path).run(name);
}

std::uint64_t allocated_bytes_at(int directory, const std::string& name) {
  std::uint64_t total = 0;
  const auto count = [&](const TreePlace& place) {
    struct stat status {};
    const int result = ::fstatat(place.directory, place.name.c_str(), &status, AT_SYMLINK_NOFOLLOW);
    if (result != 0) return false;
    total += static_cast<std::uint64_t>(status.st_blocks) * 512;
    return S_ISDIR(status.st_mode);
  };
  try {
    walk_tree(directory, name, name, {.visit = count});
  } catch (const Error&) {  // NOLINT(bugprone-empty-catch): what cannot be read counts nothing.
  }
  return total;
}

}  // namespace pyro
