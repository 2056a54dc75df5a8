// Takes the boot files out of a tar.
#include "image/boot_files.h"

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

#include "base/files.h"
#include "base/fs_verity.h"
#include "base/text.h"
#include "image/kernel_image.h"
#include "pyro/error.h"
#include "stream/merged_view.h"

namespace pyro::image {
namespace {

constexpr std::string_view kKernelPrefix = "boot/vmlinuz-";
constexpr std::string_view kInitrdFolder = "boot/pyro-initrd";
constexpr std::uint32_t kDirectoryMode = 0040755;
constexpr std::uint32_t kFileMode = 0100644;

[[noreturn]] void refuse_member(const LayerEntry& entry, const std::string& why) {
  throw Error(ErrorCode::integrity, in_quotes(entry.path) + " " + why);
}

}  // namespace

bool BootFiles::take(const LayerEntry& entry, std::uint64_t size, TarReader& tar) {
  const std::string path = normal_member_path(entry.path);
  const bool is_file = entry.type == LayerEntry::Type::file;
  if (path.starts_with(kKernelPrefix)) {
    if (!is_file) refuse_member(entry, "is not a regular file");
    if (kernel_) refuse_member(entry, "is a second kernel");
    kernel_ = read(size, tar);
    return true;
  }
  if (path == kInitrdFolder) return true;
  if (!is_below(path, kInitrdFolder)) return false;
  const std::string name = path.substr(kInitrdFolder.size() + 1);
  if (is_file) {
    initrd_.add(name, kFileMode, read(size, tar));
  } else if (entry.type == LayerEntry::Type::directory) {
    initrd_.add(name, kDirectoryMode);
  } else {
    refuse_member(entry, "is neither a file nor a directory");
  }
  return true;
}

std::string BootFiles::read(std::uint64_t size, TarReader& tar) {
  if (size > kMaxBytes - bytes_) {
    throw Error(ErrorCode::integrity, "kernel and initrd have more than " + mib(kMaxBytes));
  }
  bytes_ += size;
  std::string content(static_cast<std::size_t>(size), '\0');
  while (const auto data = tar.next_data()) {
    if (data->offset > size || data->bytes.size() > size - data->offset) {
      throw Error(ErrorCode::integrity, "a member of the tar is larger than it says");
    }
    std::ranges::copy(data->bytes, std::as_writable_bytes(std::span(content)).begin() +
                                       static_cast<std::ptrdiff_t>(data->offset));
  }
  return content;
}

std::vector<WrittenArtifact> BootFiles::write(const std::vector<int>& files,
                                              const ExtractionLimits& limits, OutputRing& ring) && {
  if (!kernel_)
    throw Error(ErrorCode::integrity, "the tree has no kernel: no boot/vmlinuz-VERSION");
  std::vector<WrittenArtifact> written;
  const auto add = [&](std::size_t kind, const std::function<std::uint64_t(int file)>& write) {
    const std::size_t index = kind * MergedView::kMaxCandidates;
    const std::uint64_t size = write(files[index]);
    const std::string name(kArtifactKinds[kind].name);
    written.push_back({.kind = kind,
                       .file = index,
                       .size = size,
                       .digest = file_verity(files[index], size, name, {})});
  };
  try {
    add(kKernel, [&](int file) {
      return unpack_kernel(std::as_bytes(std::span(*kernel_)), file, limits.kernel_bytes, ring);
    });
  } catch (Error& error) {
    error.add_context("cannot unpack its kernel");
    throw;
  }
  const std::string initrd = std::move(initrd_).finish();
  add(kInitrd, [&](int file) {
    pwrite_all(file, std::as_bytes(std::span(initrd)), 0, "initrd.img");
    return initrd.size();
  });
  return written;
}

}  // namespace pyro::image
