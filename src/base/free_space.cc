// How much room a file system has left.
#include "base/free_space.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace pyro {
namespace {

constexpr const char* kHint = "free some space, or put the cache elsewhere with --cache-dir";
/// File systems keep a little for themselves that they call free.
constexpr std::uint64_t kAsGoodAsNothing = std::uint64_t{16} << 20;

std::optional<struct statvfs> status_of(const std::filesystem::path& directory) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0 || status.f_blocks == 0) return std::nullopt;
  return status;
}

/// In the end, as system_error() says it.
bool comes_from(const Error& error, int error_number) {
  const std::string& last = error.causes().empty() ? error.message() : error.causes().back();
  return error.code() == ErrorCode::filesystem &&
         last == std::generic_category().message(error_number);
}

std::string in_mib(std::uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string shortage(std::uint64_t needed, std::uint64_t free,
                     const std::filesystem::path& directory) {
  return fmt::format("need at least {}, {} free on {}: {} missing", in_mib(needed), in_mib(free),
                     directory.string(), in_mib(needed - free));
}

}  // namespace

std::optional<std::uint64_t> free_space(const std::filesystem::path& directory) {
  const auto status = status_of(directory);
  if (!status) return std::nullopt;
  // Some of it is reserved for root.
  return (::geteuid() == 0 ? status->f_bfree : status->f_bavail) * status->f_frsize;
}

void require_free_space(const std::filesystem::path& directory, std::uint64_t needed) {
  const auto free = free_space(directory);
  if (!free || *free >= needed) return;
  throw Error(ErrorCode::filesystem, shortage(needed, *free, directory), kHint);
}

bool is_out_of_space(const Error& error) {
  return comes_from(error, ENOSPC);
}

std::string cache_hint(const Error& error) {
  if (comes_from(error, ENOSPC) || comes_from(error, EDQUOT)) return kHint;
  return comes_from(error, EROFS) ? "put the cache elsewhere with --cache-dir" : "";
}

std::string explain_lack_of_space(const std::filesystem::path& directory, std::uint64_t written,
                                  std::uint64_t outstanding) {
  const auto status = status_of(directory);
  if (status && status->f_files > 0 && status->f_ffree == 0) {
    return "no more files can be made on " + directory.string();
  }
  const auto free = free_space(directory);
  if (!free || *free > kAsGoodAsNothing) return {};
  if (outstanding > *free) return shortage(written + outstanding, written + *free, directory);
  return fmt::format("need more than {}, which is all that was free on {}", in_mib(written + *free),
                     directory.string());
}

}  // namespace pyro
