// Files of a workspace that the host names: those that a patch changes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "guest/system.h"
#include "guest/tree.h"

namespace pyro::guest {
namespace {

/// New files wait here: on the file system of those that they replace.
constexpr const char* kArrivals = "/workspace/.pyro-arrivals";

/// A request that is refused with an error number.
class RefusedTask : public Task {
 public:
  RefusedTask(Channel& channel, std::uint16_t session, int error, const std::string& path)
      : Task(channel, session) {
    writer_.write_fixed(FrameType::refused, RefusalPayload{error}, path);
    end();
  }
  void obey(FrameType /*type*/, std::string_view /*payload*/) override {}
};

/// The directories that a path leads through, from the outermost.
std::vector<std::string> directories_above(const std::string& path) {
  std::vector<std::string> above;
  for (std::size_t end = path.find('/'); end != path.npos; end = path.find('/', end + 1)) {
    above.push_back(path.substr(0, end));
  }
  return above;
}

std::string in_workspace(const std::string& path) {
  return std::string(kWorkspace) + '/' + path;
}

bool leads_through_link(const std::string& path) {
  const auto above = directories_above(path);
  return std::any_of(above.begin(), above.end(), [](const std::string& directory) {
    struct stat found {};
    return ::lstat(in_workspace(directory).c_str(), &found) == 0 && S_ISLNK(found.st_mode);
  });
}

bool is_there(const std::string& path) {
  struct stat found {};
  return ::lstat(in_workspace(path).c_str(), &found) == 0;
}

/// Calls `visit` with each entry below a directory, what is in a directory before it. Returns the
/// first error number, or 0.
int for_each_below(const std::string& root, const std::string& path,
                   const std::function<int(const std::string& path, bool is_directory)>& visit) {
  const auto names = names_in(root + path);
  if (names.empty() && errno != 0) return errno;
  for (const std::string& name : names) {
    struct stat found {};
    const std::string below = path + '/' + name;
    if (::lstat((root + below).c_str(), &found) != 0) continue;
    const bool is_directory = S_ISDIR(found.st_mode);
    int error = is_directory ? for_each_below(root, below, visit) : 0;
    if (error == 0) error = visit(below, is_directory);
    if (error != 0) return error;
  }
  return 0;
}

void remove_arrivals() {
  static_cast<void>(for_each_below(kArrivals, "", [](const std::string& path, bool is_directory) {
    ::unlinkat(AT_FDCWD, (kArrivals + path).c_str(), is_directory ? AT_REMOVEDIR : 0);
    return 0;
  }));
  ::rmdir(kArrivals);
}

/// Whether the owner may run it is for the new one to say.
void take_permissions(const std::string& from, const std::string& to) {
  struct stat old_one {};
  struct stat new_one {};
  if (::lstat(from.c_str(), &old_one) != 0 || !S_ISREG(old_one.st_mode)) return;
  if (::lstat(to.c_str(), &new_one) != 0 || !S_ISREG(new_one.st_mode)) return;
  constexpr mode_t kRun = S_IXUSR | S_IXGRP | S_IXOTH;
  const mode_t readers = (old_one.st_mode & (S_IRUSR | S_IRGRP | S_IROTH)) >> 2;
  const bool runs = (new_one.st_mode & S_IXUSR) != 0;
  const bool ran = (old_one.st_mode & S_IXUSR) != 0;
  mode_t mode = old_one.st_mode & kPermissions;
  if (runs != ran) mode = (mode & ~kRun) | (runs ? readers : 0);
  static_cast<void>(!::chown(to.c_str(), old_one.st_uid, old_one.st_gid));
  ::chmod(to.c_str(), mode);
}

int take_place(const std::string& path) {
  for (const std::string& directory : directories_above(path)) {
    ::mkdir(in_workspace(directory).c_str(), 0755);
  }
  const std::string from = std::string(kArrivals) + '/' + path;
  const std::string to = in_workspace(path);
  take_permissions(to, from);
  return ::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

// A file may become a directory, and the other way round: what goes does so first.
int take_places(const std::vector<std::string>& removed) {
  for (const std::string& path : removed) {
    if (::unlink(in_workspace(path).c_str()) != 0 && errno != ENOENT) return errno;
    auto above = directories_above(path);
    while (!above.empty() && ::rmdir(in_workspace(above.back()).c_str()) == 0) above.pop_back();
  }
  return for_each_below(kArrivals, "", [](const std::string& path, bool is_directory) {
    return is_directory ? 0 : take_place(path.substr(1));
  });
}

}  // namespace

std::unique_ptr<Task> start_files(Channel& channel, std::uint16_t session,
                                  std::vector<std::string> paths) {
  const auto link = std::find_if(paths.begin(), paths.end(), leads_through_link);
  if (link != paths.end()) return std::make_unique<RefusedTask>(channel, session, ELOOP, *link);
  paths.erase(std::remove_if(paths.begin(), paths.end(),
                             [](const std::string& path) { return !is_there(path); }),
              paths.end());
  return start_get_of(channel, session, kWorkspace, std::move(paths));
}

std::unique_ptr<Task> start_replace(Channel& channel, std::uint16_t session,
                                    std::vector<std::string> removed) {
  remove_arrivals();  // of a machine that ended in the middle
  return start_put_to(channel, session, kArrivals, [removed = std::move(removed)](int error) {
    if (error == 0) error = take_places(removed);
    remove_arrivals();
    return error;
  });
}

}  // namespace pyro::guest
