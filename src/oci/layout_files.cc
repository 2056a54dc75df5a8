// The files of an image layout.
#include "oci/layout_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "oci/tar_index.h"
#include "pyro/error.h"

namespace pyro {
namespace {

Error no_file(const std::filesystem::path& layout, const std::string& name) {
  return Error(ErrorCode::integrity, name + " of " + layout.string() + " is not a regular file");
}

class DirectoryFiles final : public LayoutFiles {
 public:
  DirectoryFiles(Fd directory, std::filesystem::path path)
      : directory_(std::move(directory)), path_(std::move(path)) {}

  // Links are not followed: they would lead out of the layout, and pipes would be waited for.
  std::optional<LayoutFile> open(const std::string& name) const override {
    Fd folder;
    int parent = directory_.get();
    std::size_t begin = 0;
    for (std::size_t end; (end = name.find('/', begin)) != name.npos; begin = end + 1) {
      folder = open_in(parent, name.substr(begin, end - begin), O_DIRECTORY, name);
      if (!folder) return std::nullopt;
      parent = folder.get();
    }
    Fd file = open_in(parent, name.substr(begin), O_NONBLOCK, name);
    if (!file) return std::nullopt;
    struct stat status {};
    if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) throw no_file(path_, name);
    const int descriptor = file.get();
    return LayoutFile{.own = std::move(file),
                      .file = descriptor,
                      .size = static_cast<std::uint64_t>(status.st_size)};
  }

 private:
  [[nodiscard]] Fd open_in(int parent, const std::string& component, int flags,
                           const std::string& name) const {
    Fd fd(::openat(parent, component.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | flags));
    if (fd || errno == ENOENT) return fd;
    // A link, a file where a folder should be, a socket.
    if (errno == ELOOP || errno == ENOTDIR || errno == ENXIO) throw no_file(path_, name);
    throw system_error("cannot open " + (path_ / name).string(), errno);
  }

  Fd directory_;
  std::filesystem::path path_;
};

class TarFiles final : public LayoutFiles {
 public:
  TarFiles(Fd file, std::filesystem::path path)
      : file_(std::move(file)), path_(std::move(path)), index_(file_.get(), path_) {}

  std::optional<LayoutFile> open(const std::string& name) const override {
    const TarIndex::Entry* const entry = index_.find(name);
    if (entry == nullptr) return std::nullopt;
    if (!entry->regular) throw no_file(path_, name);
    return LayoutFile{.own = {}, .file = file_.get(), .offset = entry->offset, .size = entry->size};
  }

 private:
  Fd file_;
  std::filesystem::path path_;
  TarIndex index_;
};

}  // namespace

std::unique_ptr<LayoutFiles> open_layout_files(const std::filesystem::path& path) {
  Fd fd = open_at(AT_FDCWD, path.string(), O_RDONLY | O_NONBLOCK, 0, path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) {
    throw system_error("cannot look at " + path.string(), errno);
  }
  if (S_ISDIR(status.st_mode)) return std::make_unique<DirectoryFiles>(std::move(fd), path);
  if (S_ISREG(status.st_mode)) return std::make_unique<TarFiles>(std::move(fd), path);
  throw Error(ErrorCode::filesystem, path.string() + " is neither a directory nor a file");
}

}  // namespace pyro
