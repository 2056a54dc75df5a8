// zstd, frame by frame and block by block.
#include "stream/zstd_decompressor.h"

// Decoding block by block is in the static library only.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "stream/zstd_checksum.h"

namespace pyro {
namespace {

constexpr std::uint64_t kMaxWindow = std::uint64_t{1} << 27;

using Bytes = std::span<const std::byte>;

Bytes take(Bytes& from, std::size_t size) {
  const Bytes taken = from.first(size);
  from = from.subspan(size);
  return taken;
}

class Zstd final : public Members {
 public:
  Zstd(Input input, OutputRing& ring)
      : Members(std::move(input), ring), context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
    // It is checked here (zstd_checksum.h).
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
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

  /// False when it does not follow the bytes that are ready, which have to be given out first.
  bool find_room() {
    have_checked();
    if (window_ > history_) {
      if (!ready_.empty()) return false;
      ring().set_history(history_ = window_);
      region_ = {};
      pause(false);
    }
    region_ = ring().acquire(kPieceSize, region_.size());
    return ready_.empty() || region_.data() == ready_.data() + ready_.size();
  }

  void begin_member() override {
    ZSTD_decompressBegin(context_.get());
    header_.clear();
    to_skip_ = 0;
    is_checked_ = false;
  }

  // A frame, or a skippable frame.
  bool begins(std::byte first) const override {
    return first == std::byte{0x28} || (first & std::byte{0xf0}) == std::byte{0x50};
  }

  bool decode(Bytes& in, std::span<std::byte>& out) override {
    if (to_skip_ > 0) return skip(in);
    const ZSTD_nextInputType_e kind = ZSTD_nextInputType(context_.get());
    const Bytes bytes = gather(in, ZSTD_nextSrcSizeToDecompress(context_.get()));
    if (bytes.empty()) return false;
    const std::size_t made =
        ZSTD_decompressContinue(context_.get(), out.data(), out.size(), bytes.data(), bytes.size());
    if (ZSTD_isError(made)) corrupt(ZSTD_getErrorName(made));
    if (is_checked_) to_check(out.first(made));
    out = out.subspan(made);
    if (kind == ZSTDnit_frameHeader) take_header(bytes);
    if (kind == ZSTDnit_checksum && is_checked_) compare_checksum(bytes);
    gathered_.clear();
    const std::size_t wanted = ZSTD_nextSrcSizeToDecompress(context_.get());
    if (kind == ZSTDnit_skippableFrame) to_skip_ = wanted;
    return wanted == 0;
  }

  /// `size` bytes in a row; none while the input has not brought them all.
  Bytes gather(Bytes& in, std::size_t size) {
    if (gathered_.empty() && in.size() >= size) return take(in, size);
    const Bytes more = take(in, std::min(in.size(), size - gathered_.size()));
    gathered_.insert(gathered_.end(), more.begin(), more.end());
    if (gathered_.size() < size) return {};
    return gathered_;
  }

  bool skip(Bytes& in) {
    to_skip_ -= take(in, std::min(in.size(), to_skip_)).size();
    return to_skip_ == 0;
  }

  /// Comes in two parts, the first of which says how long the second is.
  void take_header(Bytes bytes) {
    header_.insert(header_.end(), bytes.begin(), bytes.end());
    if (ZSTD_nextInputType(context_.get()) != ZSTDnit_blockHeader) return;
    ZSTD_frameHeader header;
    if (ZSTD_getFrameHeader(&header, header_.data(), header_.size()) != 0) corrupt("bad header");
    if (header.windowSize > kMaxWindow) refuse(" data needs a window of more than 128 MiB");
    window_ = std::max<std::size_t>(header.windowSize, ZSTD_BLOCKSIZE_MAX);
    pause(window_ > history_);
    is_checked_ = header.checksumFlag != 0;
    if (!is_checked_) return;
    if (!checksum_) checksum_.emplace(ring());
    checksum_->begin();
  }

  /// Collected until it has to be held: before more is acquired, or where the ring wraps.
  void to_check(Bytes bytes) {
    if (unchecked_.data() + unchecked_.size() != bytes.data()) have_checked();
    unchecked_ = {unchecked_.empty() ? bytes.data() : unchecked_.data(),
                  unchecked_.size() + bytes.size()};
  }

  void have_checked() {
    if (checksum_) checksum_->add(std::exchange(unchecked_, {}));
  }

  void compare_checksum(Bytes stored) {
    have_checked();
    std::uint32_t expected = 0;  // little endian
    for (std::size_t i = stored.size(); i-- > 0;) {
      expected = expected << 8 | std::to_integer<std::uint32_t>(stored[i]);
    }
    if (checksum_->finish() != expected) corrupt("its checksum does not match");
  }

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  std::vector<std::byte> header_;
  std::vector<std::byte> gathered_;  // of what libzstd wants next, in one piece
  std::size_t to_skip_ = 0;          // of a skippable frame

  std::size_t window_ = 0;       // how far this frame looks back
  std::size_t history_ = 0;      // how far the ring lets it
  std::span<std::byte> region_;  // room for blocks, acquired
  Bytes ready_;                  // blocks before it, not given out yet

  bool is_checked_ = false;  // this frame has a checksum
  Bytes unchecked_;          // content of it that was not handed on yet
  std::optional<ZstdChecksum> checksum_;
};

}  // namespace

std::unique_ptr<Decompressor> open_zstd(Input input, OutputRing& ring) {
  return std::make_unique<Zstd>(std::move(input), ring);
}

}  // namespace pyro
