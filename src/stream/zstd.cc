// zstd (RFC 8878), frame by frame and block by block.
//
// Blocks are decoded into the ring, where later ones look back at earlier ones: libzstd's streaming
// functions would keep a window of their own, and copy all content out of it.

// Decoding block by block is in the static library only.
#define ZSTD_DISABLE_DEPRECATE_WARNINGS
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "base/worker.h"
#include "stream/codec_loop.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxOrders = 64;
/// Shorter pieces are hashed in less time than it takes to hand them on; a frame may have a byte.
constexpr std::size_t kMinOrder = std::size_t{64} << 10;

constexpr std::uint64_t kMaxWindow = std::uint64_t{1} << 27;
constexpr std::size_t kBlockHeaderSize = 3;
constexpr std::size_t kChecksumSize = 4;

using Bytes = std::span<const std::byte>;

Bytes take(Bytes& from, std::size_t size) {
  const Bytes taken = from.first(size);
  from = from.subspan(size);
  return taken;
}

std::uint32_t little_endian(Bytes bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[i]);
  }
  return value;
}

bool contains(Bytes outer, Bytes inner) {
  return inner.data() >= outer.data() && inner.data() + inner.size() <= outer.data() + outer.size();
}

/// The bytes of `bytes` before `part` or behind it: the longer of the two.
Bytes without(Bytes bytes, Bytes part) {
  const std::byte* const end = bytes.data() + bytes.size();
  const std::byte* const part_end = part.data() + part.size();
  if (part_end <= bytes.data() || part.data() >= end) return bytes;
  const Bytes before(bytes.data(), std::max(bytes.data(), part.data()));
  const Bytes behind(std::min(end, part_end), end);
  return before.size() > behind.size() ? before : behind;
}

enum class BlockType { raw = 0, rle = 1, compressed = 2, reserved = 3 };

/// RFC 8878 section 3.1.1.2.
struct BlockHeader {
  explicit BlockHeader(Bytes bytes) {
    const std::uint32_t bits = little_endian(bytes);
    is_last = (bits & 1) != 0;
    type = static_cast<BlockType>(bits >> 1 & 3);
    size = bits >> 3;
  }
  bool is_last = false;
  BlockType type = BlockType::raw;
  std::size_t size = 0;  // of a run's output, or of the bytes that follow the header
};

class ZstdDecoder final : public Members {
 public:
  ZstdDecoder(Input input, OutputRing& ring, Checksums checksums, ZstdChecksum* checksum)
      : Members(std::move(input), ring),
        context_(ZSTD_createDCtx()),
        wants_checksums_(checksums == Checksums::check),
        checksum_(checksum) {
    if (!context_) throw std::bad_alloc();
    gathered_.reserve(ZSTD_BLOCKSIZE_MAX);
  }

  std::string_view name() const noexcept override { return "zstd"; }

  Bytes next(std::size_t misalignment) override {
    while (ready_.size() < kPieceSize && !finished()) {
      if (needs_room() && !find_room()) return std::exchange(ready_, {});
      const std::size_t made = fill(region_, ZSTD_BLOCKSIZE_MAX);
      ready_ = {ready_.empty() ? region_.data() : ready_.data(), ready_.size() + made};
      region_ = region_.subspan(made);
    }
    const std::size_t beyond = (misalignment + ready_.size()) % kBlockSize;
    const bool is_last = finished() || beyond >= ready_.size();
    return take(ready_, is_last ? ready_.size() : ready_.size() - beyond);
  }

 private:
  [[nodiscard]] bool needs_room() const {
    return window_ > history_ || region_.size() < ZSTD_BLOCKSIZE_MAX;
  }

  /// False when the new room does not follow the bytes that are ready: those have to be returned
  /// first.
  bool find_room() {
    have_checked();
    if (window_ > history_) {
      if (!ready_.empty()) return false;
      ring().set_history(history_ = window_);
      region_ = {};
      zeros_ = {};
      pause(false);
    }
    region_ = ring().acquire(kPieceSize, region_.size());
    return ready_.empty() || region_.data() == ready_.data() + ready_.size();
  }

  // A frame, or a skippable frame.
  bool begins(std::byte first) const override {
    return first == std::byte{0x28} || (first & std::byte{0xf0}) == std::byte{0x50};
  }

  void begin_member() override {
    expect(&ZstdDecoder::take_header, ZSTD_FRAMEHEADERSIZE_MIN(ZSTD_f_zstd1));
  }

  /// One part of a frame: its header, a block's header, a block, its checksum.
  bool decode(Bytes& in, std::span<std::byte>& out) override {
    if (to_skip_ > 0) return skip(in);
    const Bytes part = gather(in, wanted_);
    if (part.size() < wanted_) return false;
    return (this->*state_)(part, out);
  }

  /// The next `size` bytes; fewer while the input has not brought them all.
  Bytes gather(Bytes& in, std::size_t size) {
    if (gathered_.empty() && in.size() >= size) return take(in, size);
    const Bytes more = take(in, std::min(in.size(), size - gathered_.size()));
    gathered_.insert(gathered_.end(), more.begin(), more.end());
    return gathered_;
  }

  bool skip(Bytes& in) {
    to_skip_ -= take(in, std::min(in.size(), to_skip_)).size();
    return to_skip_ == 0;
  }

  /// The first bytes of a header determine its size. They are then gathered again, with the rest.
  bool take_header(Bytes part, std::span<std::byte>&) {
    ZSTD_frameHeader header{};
    const std::size_t result = ZSTD_getFrameHeader(&header, part.data(), part.size());
    if (ZSTD_isError(result)) corrupt(ZSTD_getErrorName(result));
    if (result > 0) {
      if (gathered_.empty()) gathered_.assign(part.begin(), part.end());
      wanted_ = result;
      return false;
    }
    if (header.frameType == ZSTD_skippableFrame) return skip_frame(header.frameContentSize);
    begin_frame(header);
    return false;
  }

  bool skip_frame(unsigned long long size) {
    to_skip_ = size;
    return to_skip_ == 0;
  }

  void begin_frame(const ZSTD_frameHeader& header) {
    if (header.windowSize > kMaxWindow) refuse(" data needs a window of more than 128 MiB");
    if (header.dictID != 0) corrupt("it needs a dictionary");
    window_ = std::max<std::size_t>(header.windowSize, ZSTD_BLOCKSIZE_MAX);
    pause(window_ > history_);
    largest_block_ = header.blockSizeMax;
    content_size_ = header.frameContentSize;
    made_ = 0;
    has_checksum_ = header.checksumFlag != 0;
    if (has_checksum_ && wants_checksums_) {
      if (checksum_ == nullptr) checksum_ = &own_checksum_.emplace(ring());
      checksum_->begin();
    }
    ZSTD_decompressBegin(context_.get());
    expect(&ZstdDecoder::take_block_header, kBlockHeaderSize);
  }

  bool take_block_header(Bytes part, std::span<std::byte>&) {
    block_ = BlockHeader(part);
    if (block_.type == BlockType::reserved) corrupt("unknown type of block");
    if (block_.size > largest_block_) corrupt("a block is too large");
    const bool is_run = block_.type == BlockType::rle;
    expect(&ZstdDecoder::take_block, is_run ? 1 : block_.size);
    return false;
  }

  bool take_block(Bytes part, std::span<std::byte>& out) {
    const std::size_t made = make_block(part, out);
    if (has_checksum_ && wants_checksums_) to_check(out.first(made));
    made_ += made;
    out = out.subspan(made);
    return end_block();
  }

  bool end_block() {
    expect(&ZstdDecoder::take_block_header, kBlockHeaderSize);
    if (!block_.is_last) return false;
    if (content_size_ != ZSTD_CONTENTSIZE_UNKNOWN && content_size_ != made_) {
      corrupt("its size is not what it says");
    }
    if (has_checksum_) expect(&ZstdDecoder::take_checksum, kChecksumSize);
    return !has_checksum_;
  }

  std::size_t make_block(Bytes part, std::span<std::byte> out) {
    if (block_.type == BlockType::compressed) {
      zeros_ = without(zeros_, out);
      const std::size_t made =
          ZSTD_decompressBlock(context_.get(), out.data(), out.size(), part.data(), part.size());
      if (ZSTD_isError(made)) corrupt(ZSTD_getErrorName(made));
      if (made > largest_block_) corrupt("a block is too large");
      return made;
    }
    const auto block = out.first(block_.size);
    if (block_.type == BlockType::rle && part.front() == std::byte{0}) {
      make_zeros(block);
    } else {
      zeros_ = without(zeros_, block);
      if (block_.type == BlockType::raw)
        std::ranges::copy(part, block.begin());
      else
        std::ranges::fill(block, part.front());
    }
    // After an empty one libzstd would take the next block for a continuation of known content, of
    // which there is none: it would look back to anywhere.
    if (!block.empty()) ZSTD_insertBlock(context_.get(), block.data(), block.size());
    return block.size();
  }

  /// Most of an image is zeros. Memory of the ring that is still zero from the last round is not
  /// written again.
  void make_zeros(std::span<std::byte> block) {
    if (contains(zeros_, block)) return;
    std::ranges::fill(block, std::byte{0});
    const bool follows = zeros_.data() + zeros_.size() == block.data();
    zeros_ = follows ? Bytes(zeros_.data(), zeros_.size() + block.size()) : Bytes(block);
  }

  bool take_checksum(Bytes part, std::span<std::byte>&) {
    have_checked();
    if (wants_checksums_ && checksum_->finish() != little_endian(part)) {
      corrupt("its checksum does not match");
    }
    return true;
  }

  using State = bool (ZstdDecoder::*)(Bytes part, std::span<std::byte>& out);
  void expect(State state, std::size_t size) {
    state_ = state;
    wanted_ = size;
    gathered_.clear();
  }

  /// Collected until it has to be held: before more is acquired, or where the ring wraps.
  void to_check(Bytes bytes) {
    if (unchecked_.data() + unchecked_.size() != bytes.data()) have_checked();
    unchecked_ = {unchecked_.empty() ? bytes.data() : unchecked_.data(),
                  unchecked_.size() + bytes.size()};
  }

  void have_checked() {
    if (checksum_ != nullptr) checksum_->add(std::exchange(unchecked_, {}));
  }

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;

  State state_ = &ZstdDecoder::take_header;  // takes the next part
  std::size_t wanted_ = 0;                   // its size
  std::vector<std::byte> gathered_;          // its bytes so far, where they come in several pieces
  std::uint64_t to_skip_ = 0;                // of a skippable frame

  // The frame and its current block.
  std::size_t largest_block_ = 0;
  std::uint64_t content_size_ = 0;
  std::uint64_t made_ = 0;
  bool has_checksum_ = false;
  BlockHeader block_{Bytes()};

  std::size_t window_ = 0;       // how far this frame looks back
  std::size_t history_ = 0;      // how far the ring lets it
  std::span<std::byte> region_;  // room for blocks, acquired
  Bytes ready_;                  // blocks before it, not returned yet
  Bytes zeros_;                  // of the ring's memory

  const bool wants_checksums_;
  Bytes unchecked_;  // content not yet added to the checksum
  std::optional<ZstdChecksum> own_checksum_;
  ZstdChecksum* checksum_;
};

}  // namespace

struct ZstdChecksum::Impl {
  struct Order {
    std::span<const std::byte> bytes;
    OutputRing::Hold hold;
  };

  explicit Impl(OutputRing& given)
      : ring(given), worker(kMaxOrders, [this](const Order& order) { carry_out(order); }) {}

  void carry_out(const Order& order) {
    XXH64_update(&state, order.bytes.data(), order.bytes.size());
    ring.release(order.hold);
  }

  void add(std::span<const std::byte> bytes) {
    if (!behind && bytes.size() < kMinOrder) {
      XXH64_update(&state, bytes.data(), bytes.size());
    } else {
      worker.push({bytes, ring.hold(bytes)});
      behind = true;
    }
  }

  void catch_up() {
    if (std::exchange(behind, false)) worker.drain();
  }

  OutputRing& ring;
  XXH64_state_t state{};
  bool behind = false;   // the worker has orders
  Worker<Order> worker;  // last: it uses the others
};

ZstdChecksum::ZstdChecksum(OutputRing& ring) : impl_(std::make_unique<Impl>(ring)) {}
ZstdChecksum::~ZstdChecksum() = default;

void ZstdChecksum::begin() {
  impl_->catch_up();
  XXH64_reset(&impl_->state, 0);
}

void ZstdChecksum::add(std::span<const std::byte> bytes) {
  if (!bytes.empty()) impl_->add(bytes);
}

std::uint32_t ZstdChecksum::finish() {
  impl_->catch_up();
  return static_cast<std::uint32_t>(XXH64_digest(&impl_->state));
}

std::unique_ptr<Decompressor> open_zstd(Input input, OutputRing& ring, Checksums checksums,
                                        ZstdChecksum* checksum) {
  return std::make_unique<ZstdDecoder>(std::move(input), ring, checksums, checksum);
}

}  // namespace pyro
