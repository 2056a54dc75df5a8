// When an install was last of use.
#include "store/last_use.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

#include "base/files.h"
#include "base/whole_calls.h"

namespace pyro {
namespace {

void make_mark(const CacheLayout& layout, const std::string& name) {
  const Fd used = layout.make(layout.used_dir());
  static_cast<void>(open_at(used.get(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644,
                            layout.used_dir() / name));
}

std::time_t time_of_mark(const CacheLayout& layout, const std::string& name) {
  struct stat status {};
  const std::filesystem::path mark = layout.used_dir() / name;
  return ::lstat(mark.c_str(), &status) == 0 ? status.st_mtim.tv_sec : 0;
}

}  // namespace

void note_use(const CacheLayout& layout, const std::string& install_directory_name) noexcept {
  try {
    const Fd used = layout.open(layout.used_dir());
    if (used && ::utimensat(used.get(), install_directory_name.c_str(), nullptr,
                            AT_SYMLINK_NOFOLLOW) == 0) {
      return;
    }
    if (errno == ENOENT) make_mark(layout, install_directory_name);
  } catch (const std::exception&) {
    // It will seem older than it is.
  }
}

void forget_use(const CacheLayout& layout, const std::string& install_directory_name) noexcept {
  try {
    const Fd used = layout.open(layout.used_dir());
    if (used) ::unlinkat(used.get(), install_directory_name.c_str(), 0);
  } catch (const std::exception&) {
    // A mark of what is gone is of no use.
  }
}

std::chrono::system_clock::time_point last_use(const CacheLayout& layout,
                                               const std::string& install_directory_name,
                                               const InstallRecord& record) {
  const std::time_t used = time_of_mark(layout, install_directory_name);
  const std::time_t later = std::max<std::time_t>(used, record.installed_at);
  return std::chrono::system_clock::from_time_t(
      std::clamp<std::time_t>(later, 0, std::time(nullptr)));
}

}  // namespace pyro
