// A file in the making.
#include "base/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "base/temporary_name.h"
#include "pyro/error.h"

namespace pyro {
namespace {

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path)
    : path_(std::move(path)), name_(temporary_name()) {
  directory_ = Fd(::open(directory_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory_) fail(errno);
  struct stat status {};
  const std::string name = path_.filename().string();
  const bool exists = ::fstatat(directory_.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
  if (name.empty() || (exists && !S_ISREG(status.st_mode))) {
    throw Error(ErrorCode::filesystem, path_.string() + " is not a regular file");
  }
  file_ = Fd(::openat(directory_.get(), name_.c_str(),
                      O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file_) fail(errno);
}

OutputFile::~OutputFile() {
  if (file_) ::unlinkat(directory_.get(), name_.c_str(), 0);
}

void OutputFile::write(std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void OutputFile::commit(std::uint64_t size) {
  if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) fail(errno);
  if (::fsync(file_.get()) != 0) fail(errno);
  const std::string name = path_.filename().string();
  if (::renameat(directory_.get(), name_.c_str(), directory_.get(), name.c_str()) != 0) {
    fail(errno);
  }
  file_.reset();
  sync_file(directory_.get(), directory_of(path_));
}

void OutputFile::fail(int error_number) const {
  const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
  Error error(ErrorCode::filesystem, std::generic_category().message(error_number),
              full ? "free some space, or write it elsewhere" : "");
  error.add_context("cannot write " + path_.string());
  throw error;
}

}  // namespace pyro
