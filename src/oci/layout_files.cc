// The files of an image layout.
#include "oci/layout_files.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

#include "base/whole_calls.h"
#include "oci/docker_archive.h"
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

  std::string_view transport() const noexcept override { return kLayoutDirectory; }

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
    Fd fd(try_open(parent, component.c_str(), O_RDONLY | O_NOFOLLOW | flags));
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
  TarFiles(Fd file, TarIndex index, std::filesystem::path path)
      : file_(std::move(file)), path_(std::move(path)), index_(std::move(index)) {}

  std::string_view transport() const noexcept override { return kLayoutArchive; }

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

std::string layout_blob_name(const Digest& digest) {
  return "blobs/sha256/" + digest.hex();
}

Fd open_layout(const std::filesystem::path& path) {
  return open_at(AT_FDCWD, path.string(), O_RDONLY | O_NONBLOCK, 0, path);
}

std::string_view transport_in(const TarIndex& index, int file) {
  if (index.find("oci-layout") != nullptr) return kLayoutArchive;
  return is_docker_archive(index, file) ? kDockerArchive : std::string_view();
}

std::unique_ptr<LayoutFiles> open_layout_files(Fd opened, const std::filesystem::path& path,
                                               std::string_view transport) {
  struct stat status {};
  if (::fstat(opened.get(), &status) != 0) {
    throw system_error("cannot look at " + path.string(), errno);
  }
  if (S_ISDIR(status.st_mode)) return std::make_unique<DirectoryFiles>(std::move(opened), path);
  if (!S_ISREG(status.st_mode)) {
    throw Error(ErrorCode::filesystem, path.string() + " is neither a directory nor a file");
  }
  TarIndex index(opened.get(), path);
  if (transport == kDockerArchive || transport_in(index, opened.get()) == kDockerArchive) {
    return std::make_unique<DockerArchive>(std::move(opened), std::move(index), path);
  }
  return std::make_unique<TarFiles>(std::move(opened), std::move(index), path);
}

}  // namespace pyro
