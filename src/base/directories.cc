// Directories: made, opened, listed, walked, removed and measured.
#include "base/directories.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

namespace pyro {
namespace {

// A new name is durable when the directory that holds it is.
void sync_parent(const std::filesystem::path& path) {
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  sync_file(open_directory(parent).get(), parent);
}

/// The directories on the way that stay open. Deeper trees are rare: there, the others are opened
/// again as "..".
constexpr std::size_t kMaxOpen = 16;

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
  /// An entered directory.
  struct Level {
    std::string name;
    Fd fd;
    struct stat status {};
    std::vector<std::string> names;  ///< Those still to come, the next one last.
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
    level.names = sorted_names(level.fd.get(), path_);  // a full path would cost the depth
    std::ranges::reverse(level.names);
    levels_.push_back(std::move(level));
    if (levels_.size() > kMaxOpen) levels_[levels_.size() - 1 - kMaxOpen].fd.reset();
  }

  void ascend() {
    const Level left = std::move(levels_.back());
    levels_.pop_back();
    if (!levels_.empty() && !levels_.back().fd) reopen(left.fd.get());
    if (steps_.leave) take(steps_.leave, left.name);
  }

  /// Opens the directory above `child`, which must be the one that it was entered from.
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

/// Removes as much as it can, and keeps the first error.
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
  /// Whether it is a directory with content. Removing an empty one takes no descriptor: there may
  /// be none left.
  bool try_remove(const TreePlace& place) {
    const char* const name = place.name.c_str();
    if (::unlinkat(place.directory, name, 0) == 0 || errno == ENOENT) return false;
    if (errno == EISDIR) return ::unlinkat(place.directory, name, AT_REMOVEDIR) != 0;
    keep(place, errno);
    return false;
  }

  /// Fails with ENOTEMPTY after an error below, which was kept first.
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

constexpr const char* kHint = "free some space, or put the cache elsewhere with --cache-dir";
/// Part of the reported free space is reserved by the file system.
constexpr std::uint64_t kAsGoodAsNothing = std::uint64_t{16} << 20;

std::optional<struct statvfs> status_of(const std::filesystem::path& directory) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0 || status.f_blocks == 0) return std::nullopt;
  return status;
}

/// Whether the innermost cause is the text of `error_number` as system_error() writes it.
bool comes_from(const Error& error, int error_number) {
  const std::string& last = error.causes().empty() ? error.message() : error.causes().back();
  return error.code() == ErrorCode::filesystem &&
         last == std::generic_category().message(error_number);
}

std::string in_mib(std::uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string shortage(std::uint64_t needed, std::uint64_t free,
                     const std::filesystem::path& directory) {
  return fmt::format("need at least {}, {} free on {}: {} missing", in_mib(needed), in_mib(free),
                     directory.string(), in_mib(needed - free));
}

}  // namespace

Fd open_directory(const std::filesystem::path& path) {
  return open_at(AT_FDCWD, path.string(), O_RDONLY | O_DIRECTORY, 0, path);
}

Fd try_open_directory(int directory, const std::string& name) noexcept {
  return Fd(try_open(directory, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
}

void make_directories(const std::filesystem::path& path, mode_t mode) {
  // std::filesystem::create_directories() would give write permission as far as the umask allows.
  std::filesystem::path so_far;
  for (const std::filesystem::path& component : path) {
    so_far /= component;
    if (::mkdir(so_far.c_str(), mode) == 0) {
      sync_parent(so_far);
      continue;
    }
    if (errno == EEXIST) continue;
    const int error_number = errno;
    std::error_code error;
    // It exists, in a directory that this process may not write to.
    if (std::filesystem::is_directory(so_far, error)) continue;
    throw system_error("cannot make the directory " + path.string(), error_number);
  }
}

Fd make_and_open_directory(const std::filesystem::path& path) {
  make_directories(path);
  return open_directory(path);
}

std::vector<std::string> directory_names(int directory, const std::filesystem::path& path) {
  // fdopendir() owns its descriptor and reads from its position: it gets a new one.
  const int fd = try_open(directory, ".", O_RDONLY | O_DIRECTORY);
  const auto close = [](DIR* stream) { ::closedir(stream); };
  const std::unique_ptr<DIR, decltype(close)> stream(fd < 0 ? nullptr : ::fdopendir(fd), close);
  if (!stream) {
    const int error = errno;
    if (fd >= 0) ::close(fd);
    if (error == ENOENT) return {};  // removed meanwhile
    throw system_error("cannot read the directory " + path.string(), error);
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

std::vector<std::string> sorted_names(int directory, const std::filesystem::path& path) {
  auto names = directory_names(directory, path);
  std::ranges::sort(names);
  return names;
}

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

std::optional<std::uint64_t> free_space(const std::filesystem::path& directory) {
  const auto status = status_of(directory);
  if (!status) return std::nullopt;
  // A part is reserved for root.
  return (::geteuid() == 0 ? status->f_bfree : status->f_bavail) * status->f_frsize;
}

void require_free_space(const std::filesystem::path& directory, std::uint64_t needed) {
  const auto free = free_space(directory);
  if (!free || *free >= needed) return;
  throw Error(ErrorCode::filesystem, shortage(needed, *free, directory), kHint);
}

bool is_out_of_space(const Error& error) {
  return comes_from(error, ENOSPC);
}

std::string cache_hint(const Error& error) {
  if (comes_from(error, ENOSPC) || comes_from(error, EDQUOT)) return kHint;
  return comes_from(error, EROFS) ? "put the cache elsewhere with --cache-dir" : "";
}

std::string disk_full_details(const std::filesystem::path& directory, std::uint64_t written,
                              std::uint64_t outstanding) {
  const auto status = status_of(directory);
  if (status && status->f_files > 0 && status->f_ffree == 0) {
    return "no more files can be made on " + directory.string();
  }
  const auto free = free_space(directory);
  if (!free || *free > kAsGoodAsNothing) return {};
  if (outstanding > *free) return shortage(written + outstanding, written + *free, directory);
  return fmt::format("need more than {}, which is all that was free on {}", in_mib(written + *free),
                     directory.string());
}

}  // namespace pyro
