// A fetch from any source.
#include "source/fetch.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "base/directories.h"
#include "base/files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kPartialReadSize = std::size_t{256} << 10;
constexpr std::uint64_t kBlockSize = 4096;

/// Nothing when it is not a regular file, or another process has it locked.
Fd open_locked(int directory, const std::string& name) {
  while (true) {
    Fd file(try_open(directory, name.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600));
    struct stat opened {};
    if (!file || ::fstat(file.get(), &opened) != 0 || !S_ISREG(opened.st_mode)) return {};
    if (!try_lock(file.get(), LockKind::exclusive, name)) return {};
    struct stat there {};
    const bool is_there = ::fstatat(directory, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                          same_file(opened, there);
    if (is_there) return file;  // else a prune removed it between opening and locking
  }
}

/// The offset of the first byte that was written: the beginning of a block.
std::uint64_t first_data(int file) {
  const off_t offset = ::lseek(file, 0, SEEK_DATA);
  return offset < 0 ? 0 : static_cast<std::uint64_t>(offset);
}

std::uint64_t bytes_in(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// Does not follow a link, which could lead out of the cache.
Fd open_own_directory(const std::filesystem::path& path) try {
  make_directories(path);
  return open_at(AT_FDCWD, path.string(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, path);
} catch (const Error&) {
  return {};
}

}  // namespace

Partial::Partial(int directory, std::string name, std::uint64_t size,
                 std::chrono::milliseconds keep_after)
    : directory_(directory),
      name_(std::move(name)),
      file_(open_locked(directory_, name_)),
      keep_from_(std::chrono::steady_clock::now() + keep_after) {
  if (!file_) return;
  end_ = bytes_in(file_.get());
  if (end_ > size && set_size(file_.get(), 0)) end_ = 0;
  begin_ = end_ == 0 ? 0 : first_data(file_.get());
}

Partial::~Partial() {
  if (end_ == 0) discard();
}

void Partial::replay(const BodySink& sink) {
  if (!file_) return;
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kPartialReadSize);
  const std::uint64_t end = end_;
  for (std::uint64_t offset = begin_; offset < end;) {
    const auto wanted = std::min<std::uint64_t>(kPartialReadSize, end - offset);
    const std::size_t n =
        pread_full(file_.get(), {buffer.get(), static_cast<std::size_t>(wanted)}, offset, name_);
    if (n == 0) return;
    sink({buffer.get(), n});
    offset += n;
  }
}

void Partial::append(std::span<const std::byte> bytes) {
  const std::uint64_t from = position_;
  position_ += bytes.size();
  if (!file_ || position_ <= end_) return;
  if (end_ == 0) {
    if (std::chrono::steady_clock::now() < keep_from_) return;
    // At a block, so that the hole in front marks the beginning of the bytes.
    const std::uint64_t begin = (from + kBlockSize - 1) / kBlockSize * kBlockSize;
    if (begin >= position_) return;
    begin_ = end_ = begin;
  }
  try {
    const auto fresh = bytes.subspan(static_cast<std::size_t>(end_ - from));
    pwrite_all(file_.get(), fresh, end_, name_);
    end_ = position_;
  } catch (const Error&) {
    discard();  // A full disk is reported by the writer of the artifacts.
  }
}

void Partial::discard() {
  if (!file_) return;
  ::unlinkat(directory_, name_.c_str(), 0);
  file_.reset();
}

Partial& Partials::open(const Digest& digest, std::uint64_t size) {
  if (!directory_) directory_ = open_own_directory(path_);
  return partials_.emplace_back(directory_.get(), digest.hex(), size, keep_after_);
}

void Partials::discard() {
  for (Partial& partial : partials_) partial.discard();
}

void FetchContext::expecting(std::uint64_t compressed_bytes) const {
  bytes.expected = compressed_bytes;
  progress.expecting(compressed_bytes);
}

void FetchContext::received(std::uint64_t compressed_bytes) const {
  bytes.received = compressed_bytes;
  progress.received(compressed_bytes);
}

void FetchContext::require_free_space(std::uint64_t min_unpacked_bytes) const {
  pyro::require_free_space(target_dir, min_unpacked_bytes);
}

CurlOptions client_options(const FetchContext& context) {
  return client_options(context.network, context.stop, &context.progress);
}

RetryOptions retry_options(const FetchContext& context) {
  ProgressListener& progress = context.progress;
  return {.retries = context.network.retries,
          .delay = context.network.retry_delay,
          .stop = context.stop,
          .on_pause = [&progress, environment = context.environment](
                          const Error& why, std::chrono::milliseconds pause) {
            progress.retrying(environment, why.what(), pause);
          }};
}

}  // namespace pyro
