// A file whose content changes in one step.
#include "base/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "base/files.h"

namespace pyro {
namespace {

// Root changes the file of somebody else, who wants to read it on.
void keep_owner(int file, const std::filesystem::path& target) {
  struct stat before {};
  if (::geteuid() == 0 && ::stat(target.c_str(), &before) == 0 &&
      ::fchown(file, before.st_uid, before.st_gid) != 0) {
    throw system_error("cannot give " + target.string() + " back to its owner", errno);
  }
}

void write_durably(int directory, const std::string& name, std::string_view content, mode_t mode,
                   const std::filesystem::path& target) {
  const std::filesystem::path path = target.parent_path() / name;
  const Fd file = open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode, path);
  write_all(file.get(), content, path);
  keep_owner(file.get(), target);
  sync_file(file.get(), path);
}

}  // namespace

void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  const Fd directory = open_directory(parent);
  const std::string name = path.filename().string();
  // Hidden, and of one name: what a killed process left goes with the next try.
  const std::string fresh = "." + name + ".pyro-new";
  ::unlinkat(directory.get(), fresh.c_str(), 0);
  try {
    write_durably(directory.get(), fresh, content, mode, path);
    if (::renameat(directory.get(), fresh.c_str(), directory.get(), name.c_str()) != 0) {
      throw system_error("cannot replace " + path.string(), errno);
    }
  } catch (const Error&) {
    ::unlinkat(directory.get(), fresh.c_str(), 0);
    throw;
  }
  sync_file(directory.get(), parent);
}

}  // namespace pyro
