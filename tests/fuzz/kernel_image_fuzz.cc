// bzImages: each is refused with a reason, or unpacks to the same bytes each time.
#include <sys/stat.h>

#include <optional>

#include "base/files.h"
#include "image/kernel_image.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

constexpr std::uint64_t kLimit = std::uint64_t{16} << 20;

/// The size of what is unpacked; nothing for a refused input.
std::optional<std::uint64_t> unpacked_size(std::span<const std::byte> image) {
  const Fd file = make_memory_file("vmlinux");
  OutputRing ring;
  std::uint64_t size = 0;
  const bool is_sound = accepts(
      ErrorCode::integrity, [&] { size = image::unpack_kernel(image, file.get(), kLimit, ring); });
  if (!is_sound) return std::nullopt;
  struct stat status {};
  require(::fstat(file.get(), &status) == 0 && status.st_size == static_cast<off_t>(size),
          "the file is as large as it says");
  require(size <= kLimit, "... and within the limit");
  return size;
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const auto image = std::as_bytes(std::span(data, size));
  require(unpacked_size(image) == unpacked_size(image), "the same bytes have the same end");
  return 0;
}
