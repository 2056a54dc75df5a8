// Unpacks kernels.
//
// Source: Linux, Documentation/arch/x86/boot.rst; lz4, doc/lz4_Frame_format.md ("Legacy frame") and
// doc/lz4_Block_format.md.
#include "image/kernel_image.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/text.h"
#include "pyro/error.h"
#include "stream/decompress.h"

namespace pyro::image {
namespace {

using Bytes = std::span<const std::byte>;

constexpr const char* kName = "vmlinux";
constexpr std::uint32_t kLegacyLz4 = 0x184c2102;
/// What a block of it unpacks to at most.
constexpr std::size_t kMaxLz4Block = std::size_t{8} << 20;
constexpr std::uint16_t kGzip = 0x8b1f;

[[noreturn]] void refuse_kernel(const std::string& why) {
  throw Error(ErrorCode::integrity, why);
}

Bytes take(Bytes& bytes, std::size_t size) {
  if (size > bytes.size()) refuse_kernel("it ends too early");
  const Bytes taken = bytes.first(size);
  bytes = bytes.subspan(size);
  return taken;
}

template <typename Number>
Number take_number(Bytes& bytes) {
  Number number{};
  std::memcpy(&number, take(bytes, sizeof number).data(), sizeof number);
  return number;
}

template <typename Number>
Number number_at(Bytes bytes, std::size_t offset) {
  if (offset > bytes.size()) refuse_kernel("it ends too early");
  bytes = bytes.subspan(offset);
  return take_number<Number>(bytes);
}

// --- LZ4 ---

/// A length of four bits goes on in further bytes when it is 15.
std::size_t lz4_length(std::size_t bits, Bytes& block) {
  constexpr std::size_t kGoesOn = 15;
  if (bits < kGoesOn) return bits;
  std::uint8_t more = UINT8_MAX;
  while (more == UINT8_MAX) bits += more = take_number<std::uint8_t>(block);
  return bits;
}

/// Literals, then a copy of earlier bytes, and again; literals are the end. Returns the number of
/// bytes written to `out`.
std::size_t unpack_lz4_block(Bytes block, std::span<std::byte> out) {
  constexpr std::size_t kMinMatch = 4;
  std::size_t size = 0;
  const auto require_room = [&](std::size_t bytes) {
    if (bytes > out.size() - size) refuse_kernel("a block of it is larger than 8 MiB");
  };
  while (true) {
    const auto token = take_number<std::uint8_t>(block);
    const Bytes literals = take(block, lz4_length(token >> 4, block));
    require_room(literals.size());
    std::ranges::copy(literals, out.begin() + static_cast<std::ptrdiff_t>(size));
    size += literals.size();
    if (block.empty()) return size;
    const auto distance = take_number<std::uint16_t>(block);
    const std::size_t match = lz4_length(token & 0xf, block) + kMinMatch;
    if (distance == 0 || distance > size) refuse_kernel("a block of it refers to nothing");
    require_room(match);
    // Byte by byte: the copy may reach into itself.
    for (const std::size_t end = size + match; size < end; ++size) out[size] = out[size - distance];
  }
}

// --- output ---

/// What was written so far.
class KernelFile {
 public:
  KernelFile(int file, std::uint64_t max_size) : file_(file), max_size_(max_size) {}

  void write(Bytes bytes) {
    if (bytes.size() > max_size_ - size_) {
      refuse_kernel("it unpacks to more than " + mib(max_size_));
    }
    pwrite_all(file_, bytes, size_, kName);
    size_ += bytes.size();
  }
  [[nodiscard]] std::uint64_t size() const { return size_; }

 private:
  const int file_;
  const std::uint64_t max_size_;
  std::uint64_t size_ = 0;
};

void unpack_lz4(Bytes payload, KernelFile& kernel) {
  std::vector<std::byte> out(kMaxLz4Block);
  static_cast<void>(take_number<std::uint32_t>(payload));  // its magic number
  while (!payload.empty()) {
    const auto size = take_number<std::uint32_t>(payload);
    kernel.write(std::span(out).first(unpack_lz4_block(take(payload, size), out)));
  }
}

void unpack_stream(Bytes payload, KernelFile& kernel, OutputRing& ring) {
  const auto stream = open_decompressor([&] { return std::exchange(payload, {}); }, ring);
  if (stream->name() == "none") refuse_kernel("it is compressed in a way that is not known");
  while (true) {
    const Bytes bytes = stream->next(0);
    if (bytes.empty()) return;
    kernel.write(bytes);
  }
}

/// The compressed kernel of a bzImage.
Bytes payload_of(Bytes image) {
  constexpr std::size_t kSetupSectors = 0x1f1;
  constexpr std::size_t kMagic = 0x202;
  constexpr std::size_t kProtocol = 0x206;
  constexpr std::size_t kPayloadOffset = 0x248;  // from the end of the real-mode code
  constexpr std::size_t kPayloadLength = 0x24c;
  constexpr std::uint32_t kHeaderMagic = 0x53726448;  // "HdrS"
  constexpr std::uint16_t kFirstProtocol = 0x0208;    // with the payload's fields
  constexpr std::uint64_t kSector = 512;
  if (image.size() < kPayloadLength + sizeof(std::uint32_t) ||
      number_at<std::uint32_t>(image, kMagic) != kHeaderMagic ||
      number_at<std::uint16_t>(image, kProtocol) < kFirstProtocol) {
    refuse_kernel("it is not a bzImage");
  }
  const std::uint8_t sectors = number_at<std::uint8_t>(image, kSetupSectors);
  const std::uint64_t begin = ((sectors == 0 ? 4 : sectors) + 1) * kSector +
                              number_at<std::uint32_t>(image, kPayloadOffset);
  const std::uint64_t length = number_at<std::uint32_t>(image, kPayloadLength);
  if (begin + length > image.size()) refuse_kernel("it ends too early");
  return image.subspan(begin, length);
}

}  // namespace

std::uint64_t unpack_kernel(Bytes image, int file, std::uint64_t max_size, OutputRing& ring) {
  Bytes payload = payload_of(image);
  KernelFile kernel(file, max_size);
  if (number_at<std::uint16_t>(payload, 0) == kGzip) {
    unpack_stream(payload, kernel, ring);
    return kernel.size();
  }
  // Other formats have the size behind them.
  const std::size_t packed = payload.size() - std::min(payload.size(), sizeof(std::uint32_t));
  const auto size = number_at<std::uint32_t>(payload, packed);
  payload = payload.first(packed);
  if (number_at<std::uint32_t>(payload, 0) == kLegacyLz4) {
    unpack_lz4(payload, kernel);
  } else {
    unpack_stream(payload, kernel, ring);
  }
  if (kernel.size() != size) refuse_kernel("it unpacks to another size than it says");
  return kernel.size();
}

}  // namespace pyro::image
