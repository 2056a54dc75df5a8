// A file of a copy in the making.
#include "vm/received_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>

#include "base/temporary_name.h"

namespace pyro {

ReceivedFile::ReceivedFile(Fd directory, std::string name, mode_t mode, std::string shown)
    : directory_(std::move(directory)),
      name_(std::move(name)),
      shown_(std::move(shown)),
      temporary_name_(temporary_name()),
      holes_(*this, std::numeric_limits<std::int64_t>::max()) {
  // Told before its content comes, and not after.
  struct stat there {};
  if (::fstatat(directory_.get(), name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(there.st_mode)) throw system_error("cannot write " + shown_, EISDIR);
  } else if (errno != ENOENT) {
    throw system_error("cannot write " + shown_, errno);
  }
  file_ = open_at(directory_.get(), temporary_name_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode,
                  shown_);
}

ReceivedFile::~ReceivedFile() {
  if (file_) ::unlinkat(directory_.get(), temporary_name_.c_str(), 0);
}

void ReceivedFile::write(std::string_view bytes) {
  holes_.feed(holes_.position(), std::as_bytes(std::span(bytes)), Lifetime::call);
}

void ReceivedFile::data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime) {
  pwrite_all(file_.get(), bytes, offset, shown_);
}

void ReceivedFile::commit(std::int64_t modified) {
  holes_.finish_here();
  std::array<timespec, 2> times{};  // of access, of modification
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_sec = modified;
  if (::ftruncate(file_.get(), static_cast<off_t>(holes_.position())) != 0 ||
      ::renameat(directory_.get(), temporary_name_.c_str(), directory_.get(), name_.c_str()) != 0) {
    throw system_error("cannot write " + shown_, errno);
  }
  ::futimens(file_.get(), times.data());
  file_.reset();
}

}  // namespace pyro
