// A file whose content changes in one step.
#include "base/replace_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "base/files.h"

namespace pyro {
namespace {

void write_durably(int directory, const std::string& name, std::string_view content, mode_t mode,
                   const std::filesystem::path& path) {
  const Fd file = open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode, path);
  write_all(file.get(), content, path);
  sync_file(file.get(), path);
}

}  // namespace

void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  const Fd directory = open_directory(parent);
  const std::string name = path.filename().string();
  // Hidden, and of one name: what a killed process left goes with the next try.
  const std::string fresh = "." + name + ".new";
  ::unlinkat(directory.get(), fresh.c_str(), 0);
  try {
    write_durably(directory.get(), fresh, content, mode, parent / fresh);
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
