// A file of a copy.
#include "vm/received_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <limits>

#include "base/whole_calls.h"

namespace pyro {

ReceivedFile::ReceivedFile(Fd directory, std::string name, mode_t mode, std::string shown)
    : shown_(shown), holes_(*this, std::numeric_limits<std::int64_t>::max()) {
  file_.emplace(std::move(directory), std::move(name), mode, std::move(shown));
}

ReceivedFile::ReceivedFile(Fd stream, std::string shown)
    : shown_(std::move(shown)),
      stream_(std::move(stream)),
      holes_(*this, std::numeric_limits<std::int64_t>::max()) {}

void ReceivedFile::write(std::string_view bytes) {
  if (stream_) return write_all(stream_.get(), bytes, shown_);
  holes_.feed(holes_.position(), std::as_bytes(std::span(bytes)), Lifetime::call);
}

void ReceivedFile::data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime) {
  pwrite_all(file_->descriptor(), bytes, offset, shown_);
}

void ReceivedFile::commit(const timespec& modified) {
  if (stream_) return;
  holes_.finish_here();
  if (!set_size(file_->descriptor(), holes_.position())) {
    throw system_error("cannot write " + shown_, errno);
  }
  const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, modified};  // access, modification
  ::futimens(file_->descriptor(), times.data());
  file_->take_over_permissions();
  file_->commit();
}

}  // namespace pyro
