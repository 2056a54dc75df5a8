// What was changed in a workspace, or in the system around it: each is an overlay, which has the
// changes in a directory of their own.
//
// Source: Documentation/filesystems/overlayfs.rst. Names in the directory of changes are those to
// look at. A directory that was renamed or made anew has nothing in common with the seed's of that
// name: both are compared whole.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "guest/descriptor.h"
#include "guest/system.h"
#include "guest/tree.h"

namespace pyro::guest {
namespace {

std::string joined(const std::string& directory, const std::string& path) {
  return path.empty() ? directory : directory + '/' + path;
}

void add_names(const std::string& directory, std::set<std::string>& names) {
  for (const std::string& name : names_in(directory)) {
    if (name != ".git") names.insert(name);
  }
}

bool have_same_content(const std::string& one, const std::string& other) {
  const Descriptor files[] = {Descriptor(::open(one.c_str(), O_RDONLY | O_CLOEXEC)),
                              Descriptor(::open(other.c_str(), O_RDONLY | O_CLOEXEC))};
  if (!files[0].is_open() || !files[1].is_open()) return false;
  static char pieces[2][64 << 10];
  while (true) {
    long sizes[2];
    for (int i = 0; i < 2; ++i) {
      sizes[i] = ::read(files[i].get(), pieces[i], sizeof pieces[i]);
    }
    if (sizes[0] < 0 || sizes[0] != sizes[1]) return false;
    if (sizes[0] == 0) return true;
    if (std::memcmp(pieces[0], pieces[1], static_cast<std::size_t>(sizes[0])) != 0) return false;
  }
}

/// An overlay: what it lies over, what was changed, and what is seen.
struct ComparedTrees {
  std::string before;
  std::string changes;
  std::string now;
  bool of_system = false;
};

class Changes {
 public:
  Changes(const ComparedTrees& trees, std::vector<std::string> wanted)
      : trees_(trees), wanted_(std::move(wanted)) {
    struct stat root {};
    if (::stat(trees_.now.c_str(), &root) == 0) device_ = root.st_dev;
    compare("", false);
  }

  std::vector<std::string> before;  ///< The paths of files and links that differ, as they were.
  std::vector<std::string> after;   ///< The same, as they are now.

 private:
  struct Entry {
    explicit Entry(std::string place) : path(std::move(place)) {
      is_there = ::lstat(path.c_str(), &status) == 0;
    }
    [[nodiscard]] bool is_directory() const { return is_there && S_ISDIR(status.st_mode); }
    /// Whether it can be sent.
    [[nodiscard]] bool is_file() const {
      return is_there && (S_ISREG(status.st_mode) || S_ISLNK(status.st_mode));
    }

    std::string path;
    struct stat status {};
    bool is_there = false;
  };

  /// Of a directory above or below one that is wanted.
  [[nodiscard]] bool is_wanted(const std::string& path) const {
    if (wanted_.empty() || path.empty()) return true;
    return std::any_of(wanted_.begin(), wanted_.end(), [&](const std::string& wanted) {
      return path == wanted || path.rfind(wanted + '/', 0) == 0 || wanted.rfind(path + '/', 0) == 0;
    });
  }

  /// `is_other`: the directory that it is in has nothing in common with the seed's.
  void compare(const std::string& path, bool is_other) {
    if (!is_wanted(path)) return;
    const Entry old_entry(joined(trees_.before, path));
    const Entry new_entry(joined(trees_.now, path));
    if (is_of_machine(path, new_entry)) return;
    if (old_entry.is_directory() && new_entry.is_directory()) {
      return compare_content(path, is_other || is_made_anew(path));
    }
    if (old_entry.is_directory()) add_all(trees_.before, path, before);
    if (new_entry.is_directory()) add_all(trees_.now, path, after);
    if (old_entry.is_file() && new_entry.is_file() && !differ(old_entry, new_entry)) return;
    if (old_entry.is_file()) before.push_back(path);
    if (new_entry.is_file()) after.push_back(path);
  }

  void compare_content(const std::string& path, bool is_other) {
    std::set<std::string> names;
    add_names(joined(is_other ? trees_.now : trees_.changes, path), names);
    if (is_other) add_names(joined(trees_.before, path), names);
    for (const std::string& name : names)
      compare(path.empty() ? name : path + '/' + name, is_other);
  }

  /// Of the system: other file systems, and what is written at each start.
  [[nodiscard]] bool is_of_machine(const std::string& path, const Entry& now) const {
    if (!trees_.of_system) return false;
    return (now.is_directory() && now.status.st_dev != device_) || is_own_file(path);
  }

  [[nodiscard]] bool is_made_anew(const std::string& path) const {
    const std::string directory = joined(trees_.changes, path);
    for (const char* const mark : {"trusted.overlay.opaque", "trusted.overlay.redirect"}) {
      if (::lgetxattr(directory.c_str(), mark, nullptr, 0) > 0) return true;
    }
    return false;
  }

  static bool differ(const Entry& one, const Entry& other) {
    if ((one.status.st_mode & S_IFMT) != (other.status.st_mode & S_IFMT)) return true;
    if (S_ISLNK(one.status.st_mode)) return target_of(one.path) != target_of(other.path);
    return (one.status.st_mode & S_IXUSR) != (other.status.st_mode & S_IXUSR) ||
           one.status.st_size != other.status.st_size || !have_same_content(one.path, other.path);
  }

  /// The files below a directory, and in those below it.
  void add_all(const std::string& root, const std::string& path, std::vector<std::string>& paths) {
    std::vector<std::string> ahead{path};
    while (!ahead.empty()) {
      const std::string directory = std::move(ahead.back());
      ahead.pop_back();
      std::set<std::string> names;
      add_names(joined(root, directory), names);
      for (const std::string& name : names) {
        const std::string below = directory + '/' + name;
        const Entry entry(joined(root, below));
        if (!is_wanted(below)) continue;
        if (entry.is_directory()) ahead.push_back(below);
        if (entry.is_file()) paths.push_back(below);
      }
    }
  }

  const ComparedTrees trees_;
  const std::vector<std::string> wanted_;
  dev_t device_ = 0;
};

ComparedTrees trees_of(bool of_system) {
  if (of_system) return {path_in_image(), path_in_layer(kSystemLayer), "/", true};
  return {path_in_layer(kSeedLayer), path_in_layer(kChangesLayer), kWorkspace, false};
}

}  // namespace

std::unique_ptr<Task> start_changes(Channel& channel, std::uint16_t session,
                                    const ChangesPayload& payload,
                                    std::vector<std::string> wanted) {
  const ComparedTrees trees = trees_of(payload.of_system != 0);
  Changes changes(trees, std::move(wanted));
  return payload.are_before != 0
             ? start_get_of(channel, session, trees.before, std::move(changes.before))
             : start_get_of(channel, session, trees.now, std::move(changes.after));
}

}  // namespace pyro::guest
