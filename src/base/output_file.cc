// A file in the making that is written at any place.
#include "base/output_file.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/whole_calls.h"
#include "pyro/error.h"

namespace pyro {
namespace {

std::filesystem::path directory_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : ".";
}

Fd open_directory_of(const std::filesystem::path& path) {
  try {
    return open_directory(directory_of(path));
  } catch (Error& error) {
    throw error.add_context("cannot write " + path.string());
  }
}

}  // namespace

OutputFile::OutputFile(std::filesystem::path path)
    : path_(std::move(path)),
      file_(open_directory_of(path_), path_.filename().string(), 0644, path_.string()) {}

void OutputFile::write(std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = uninterrupted([&] {
      return ::pwrite(descriptor(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    });
    if (n < 0) fail(errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

void OutputFile::commit(std::uint64_t size) {
  if (!set_size(descriptor(), size)) fail(errno);
  file_.take_over_permissions();
  file_.take_over_owner();
  if (uninterrupted([&] { return ::fsync(descriptor()); }) != 0) fail(errno);
  file_.commit();
  sync_file(file_.directory(), directory_of(path_));
}

void OutputFile::fail(int error_number) const {
  const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
  Error error(ErrorCode::filesystem, std::generic_category().message(error_number),
              full ? "free some space, or write it elsewhere" : "");
  error.add_context("cannot write " + path_.string());
  throw error;
}

}  // namespace pyro
