// Small files that a user or a setting names.
#include "base/regular_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <span>
#include <system_error>
#include <utility>

#include "base/file_trust.h"
#include "base/files.h"
#include "base/mib.h"
#include "base/whole_calls.h"
#include "pyro/error.h"

namespace pyro {
namespace {

Error refusal(const std::string& why) {
  return {ErrorCode::failed, why};
}

/// And one byte more, where there is one.
std::string read_up_to(int fd, std::size_t size, const std::filesystem::path& file) {
  std::string content(size + 1, '\0');
  content.resize(pread_full(fd, std::as_writable_bytes(std::span(content)), 0, file.string()));
  return content;
}

}  // namespace

std::optional<RegularFile> read_regular_file(const std::filesystem::path& file, std::size_t limit) {
  const Fd fd(try_open(AT_FDCWD, file.c_str(), O_RDONLY | O_NONBLOCK));
  const int error = errno;
  if (!fd && (error == ENOENT || error == ENOTDIR)) return std::nullopt;
  if (!fd) throw refusal(std::generic_category().message(error));
  RegularFile found;
  if (::fstat(fd.get(), &found.status) != 0 || !S_ISREG(found.status.st_mode)) {
    throw refusal("it is not a regular file");
  }
  const auto size = static_cast<std::uint64_t>(found.status.st_size);
  found.content = read_up_to(fd.get(), std::min<std::uint64_t>(size, limit), file);
  // One that grows, or that the kernel makes up.
  if (found.content.size() > size) found.content = read_up_to(fd.get(), limit, file);
  if (found.content.size() > limit) throw refusal("it is larger than " + mib(limit));
  return found;
}

void require_believed(const struct stat& status) {
  const FileTrust trust = judge_file(status.st_mode, status.st_uid, ::geteuid(), Holds::settings);
  if (!trust.believed) throw Error(ErrorCode::failed, trust.remark, trust.remedy);
}

std::string read_required_file(const std::filesystem::path& file, std::size_t limit,
                               const std::string& context) {
  try {
    auto found = read_regular_file(file, limit);
    if (!found) throw Error(ErrorCode::failed, "No such file or directory");
    require_believed(found->status);
    return std::move(found->content);
  } catch (const Error& error) {
    Error named(ErrorCode::failed, error.message(), error.hint());
    named.add_context(context + " " + file.string());
    throw named;
  }
}

}  // namespace pyro
