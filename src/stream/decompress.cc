// Decompressors by ISA-L, libzstd, liblzma and libbz2.
#include "stream/decompress.h"

#include <bzlib.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
// The parameter that leaves checksums alone is declared with this.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "stream/codec_loop.h"

namespace pyro {
namespace {

constexpr int kMaxWindowLog = 27;
constexpr std::uint64_t kMaxXzMemory = std::uint64_t{128} << 20;

class PlainReader final : public CodecLoop {
 public:
  using CodecLoop::CodecLoop;
  std::string_view name() const noexcept override { return "none"; }

 private:
  void step(std::span<const std::byte>& in, std::span<std::byte>& out, bool drained) override {
    if (drained) return finish();
    const std::size_t n = std::min(in.size(), out.size());
    std::memcpy(out.data(), in.data(), n);
    in = in.subspan(n);
    out = out.subspan(n);
  }
};

constexpr std::uint32_t kFlagsAt = 3;
constexpr std::byte kReservedFlags{0xe0};
constexpr std::array kBeginning = {std::byte{0x1f}, std::byte{0x8b}};
constexpr std::byte kDeflate{8};

std::uint32_t crc_of(std::uint32_t crc, std::span<const std::byte> bytes) {
  return crc32_gzip_refl(crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

/// The header of a gzip member (RFC 1952 section 2.3), in pieces of any size. Names and comments
/// may be of any length; nothing of them is kept. ISA-L's own reader finds the checksum of a header
/// wrong that comes in two pieces, and ignores reserved flags.
class GzipHeader {
 public:
  enum class State : std::uint8_t {
    incomplete,
    complete,
    malformed,
    unknown_method,
    wrong_checksum
  };

  /// Takes the bytes of the header off `in`. After anything but `incomplete` it is over.
  [[nodiscard]] State take(std::span<const std::byte>& in);

 private:
  /// In their order.
  enum class Field : std::uint8_t { fixed, extra_size, extra, name, comment, checksum, end };

  [[nodiscard]] bool has(Field field) const;
  [[nodiscard]] bool is_text() const { return field_ == Field::name || field_ == Field::comment; }
  [[nodiscard]] State take_piece(std::span<const std::byte>& in);
  [[nodiscard]] State check_fixed(std::span<const std::byte> piece);
  [[nodiscard]] State end_field();

  Field field_ = Field::fixed;
  std::uint32_t taken_ = 0;   // of the field, unless it is a text
  std::uint32_t size_ = 10;   // of the field, unless it is a text
  std::uint32_t number_ = 0;  // the value of a field that is one
  std::byte flags_{0};
  std::uint32_t crc_ = 0;  // of all in front of the checksum
};

GzipHeader::State GzipHeader::take(std::span<const std::byte>& in) {
  State state = State::incomplete;
  while (state == State::incomplete && !in.empty()) state = take_piece(in);
  return state;
}

// Up to the end of the field, or of the input.
GzipHeader::State GzipHeader::take_piece(std::span<const std::byte>& in) {
  const auto zero = std::ranges::find(in, std::byte{0});
  const bool ends = is_text() ? zero != in.end() : size_ - taken_ <= in.size();
  const std::size_t n = !ends       ? in.size()
                        : is_text() ? static_cast<std::size_t>(zero - in.begin()) + 1
                                    : size_ - taken_;
  const auto piece = in.first(n);
  in = in.subspan(n);
  if (field_ == Field::fixed) {
    if (const State state = check_fixed(piece); state != State::incomplete) return state;
  }
  if (field_ == Field::extra_size || field_ == Field::checksum) {
    for (std::uint32_t i = 0; i < n; ++i) {
      number_ |= std::to_integer<std::uint32_t>(piece[i]) << (8 * (taken_ + i));
    }
  }
  if (field_ != Field::checksum) crc_ = crc_of(crc_, piece);
  if (!is_text()) taken_ += static_cast<std::uint32_t>(n);
  return ends ? end_field() : State::incomplete;
}

// A reserved flag may change the meaning of all that follows (section 2.3.1.2).
GzipHeader::State GzipHeader::check_fixed(std::span<const std::byte> piece) {
  for (std::uint32_t i = 0; i < piece.size(); ++i) {
    const std::uint32_t at = taken_ + i;
    if (at < kBeginning.size() && piece[i] != kBeginning[at]) return State::malformed;
    if (at == kBeginning.size() && piece[i] != kDeflate) return State::unknown_method;
    if (at != kFlagsAt) continue;
    flags_ = piece[i];
    if ((flags_ & kReservedFlags) != std::byte{0}) return State::malformed;
  }
  return State::incomplete;
}

bool GzipHeader::has(Field field) const {
  const auto flag = [this](unsigned bit) { return (flags_ & std::byte{1} << bit) != std::byte{0}; };
  switch (field) {
    case Field::extra_size:
      return flag(2);
    case Field::extra:
      return flag(2) && size_ > 0;
    case Field::name:
      return flag(3);
    case Field::comment:
      return flag(4);
    case Field::checksum:
      return flag(1);
    default:
      return true;
  }
}

GzipHeader::State GzipHeader::end_field() {
  if (field_ == Field::checksum && number_ != (crc_ & 0xffff)) return State::wrong_checksum;
  size_ = field_ == Field::extra_size ? number_ : 2;
  taken_ = 0;
  number_ = 0;
  do {
    field_ = static_cast<Field>(static_cast<std::uint8_t>(field_) + 1);
  } while (!has(field_));
  if (field_ != Field::extra) size_ = 2;
  return field_ == Field::end ? State::complete : State::incomplete;
}

class GzipDecoder final : public Members {
 public:
  GzipDecoder(Input input, OutputRing& ring)
      : Members(std::move(input), ring), storage_(std::make_unique<State>()) {
    isal_inflate_init(state_);
  }
  std::string_view name() const noexcept override { return "gzip"; }

 private:
  void begin_member() override {
    isal_inflate_reset(state_);
    state_->crc_flag = ISAL_GZIP_NO_HDR_VER;
    header_ = GzipHeader();
    in_header_ = true;
  }
  bool begins(std::byte first) const override { return first == std::byte{0x1f}; }

  bool decode(std::span<const std::byte>& in, std::span<std::byte>& out) override {
    if (in_header_) take_header(in);
    if (in_header_) return false;
    // ISA-L's pointers to input are not const, and its sizes have 32 bits.
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(in.data()));
    state_->avail_in = static_cast<std::uint32_t>(std::min<std::size_t>(in.size(), UINT32_MAX));
    state_->next_out = reinterpret_cast<std::uint8_t*>(out.data());
    state_->avail_out = static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), UINT32_MAX));
    const std::uint32_t had_in = state_->avail_in;
    const std::uint32_t had_out = state_->avail_out;
    const int result = isal_inflate(state_);
    // First: after an error more input may be left than there was.
    if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT) corrupt(describe(result));
    in = in.subspan(had_in - state_->avail_in);
    out = out.subspan(had_out - state_->avail_out);
    return state_->block_state == ISAL_BLOCK_FINISH;
  }

  void take_header(std::span<const std::byte>& in) {
    switch (header_.take(in)) {
      case GzipHeader::State::incomplete:
        return;
      case GzipHeader::State::complete:
        in_header_ = false;
        return;
      case GzipHeader::State::malformed:
        corrupt("bad header");
      case GzipHeader::State::unknown_method:
        corrupt("unknown compression method");
      case GzipHeader::State::wrong_checksum:
        corrupt("the checksum of its header does not match");
    }
  }

  static std::string_view describe(int result) {
    switch (result) {
      case ISAL_INCORRECT_CHECKSUM:
        return "its checksum does not match";
      case ISAL_INVALID_LOOKBACK:
        return "it refers to bytes before its start";
      default:
        return "bad block or symbol";
    }
  }

  /// Aligned as the ring is: ISA-L copies between a buffer in here and the ring on each call, which
  /// takes up to a twentieth of a pull longer where their offsets in a page differ (output_ring.h).
  struct alignas(OutputRing::kAlignment) State {
    inflate_state state;
  };
  std::unique_ptr<State> storage_;
  inflate_state* const state_ = &storage_->state;
  GzipHeader header_;
  bool in_header_ = false;
};

class Bzip2Decoder final : public Members {
 public:
  using Members::Members;
  ~Bzip2Decoder() override { end(); }
  std::string_view name() const noexcept override { return "bzip2"; }

 private:
  void begin_member() override {
    end();
    stream_ = bz_stream{};
    if (BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) throw std::bad_alloc();
    open_ = true;
  }
  bool begins(std::byte first) const override { return first == std::byte{'B'}; }

  bool decode(std::span<const std::byte>& in, std::span<std::byte>& out) override {
    constexpr std::size_t kMax = 1U << 30;  // libbz2 counts in unsigned int
    stream_.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<unsigned>(std::min(in.size(), kMax));
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = static_cast<unsigned>(std::min(out.size(), kMax));
    const unsigned had_in = stream_.avail_in;
    const unsigned had_out = stream_.avail_out;
    const int result = BZ2_bzDecompress(&stream_);
    in = in.subspan(had_in - stream_.avail_in);
    out = out.subspan(had_out - stream_.avail_out);
    if (result == BZ_MEM_ERROR) throw std::bad_alloc();
    if (result != BZ_OK && result != BZ_STREAM_END) corrupt("bad block or checksum");
    return result == BZ_STREAM_END;
  }

  void end() {
    if (std::exchange(open_, false)) BZ2_bzDecompressEnd(&stream_);
  }

  bz_stream stream_{};
  bool open_ = false;
};

/// liblzma joins streams and checks their padding by itself.
class XzDecoder final : public CodecLoop {
 public:
  XzDecoder(Input input, OutputRing& ring) : CodecLoop(std::move(input), ring) {
    if (lzma_stream_decoder(&stream_, kMaxXzMemory, LZMA_CONCATENATED) != LZMA_OK) {
      throw std::bad_alloc();
    }
  }
  ~XzDecoder() override { lzma_end(&stream_); }
  std::string_view name() const noexcept override { return "xz"; }

 private:
  void step(std::span<const std::byte>& in, std::span<std::byte>& out, bool drained) override {
    stream_.next_in = reinterpret_cast<const std::uint8_t*>(in.data());
    stream_.avail_in = in.size();
    stream_.next_out = reinterpret_cast<std::uint8_t*>(out.data());
    stream_.avail_out = out.size();
    const lzma_ret result = lzma_code(&stream_, drained ? LZMA_FINISH : LZMA_RUN);
    in = in.last(stream_.avail_in);
    out = out.last(stream_.avail_out);
    switch (result) {
      case LZMA_OK:
        return;
      case LZMA_STREAM_END:
        return finish();
      case LZMA_MEM_ERROR:
        throw std::bad_alloc();
      case LZMA_MEMLIMIT_ERROR:
        refuse(" data needs more than 128 MiB of memory");
      case LZMA_BUF_ERROR:
        truncated();
      default:
        corrupt("bad block or checksum");
    }
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
};

class ZstdDecoder final : public Members {
 public:
  ZstdDecoder(Input input, OutputRing& ring, Checksums checksums)
      : Members(std::move(input), ring), context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
    if (checksums == Checksums::leave) {
      ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_forceIgnoreChecksum, ZSTD_d_ignoreChecksum);
    }
  }
  std::string_view name() const noexcept override { return "zstd"; }

 private:
  void begin_member() override {
    ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only);
    at_start_ = true;
  }
  // A frame, or a skippable frame.
  bool begins(std::byte first) const override {
    return first == std::byte{0x28} || (first & std::byte{0xf0}) == std::byte{0x50};
  }

  bool decode(std::span<const std::byte>& in, std::span<std::byte>& out) override {
    // The first byte alone: libzstd decodes a frame that it sees as a whole in another way, which
    // knows no limit of the window.
    const std::size_t most = std::exchange(at_start_, false) ? 1 : in.size();
    ZSTD_inBuffer from{in.data(), std::min(most, in.size()), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context_.get(), &to, &from);
    if (ZSTD_isError(result)) refuse_frame(result);
    in = in.subspan(from.pos);
    out = out.subspan(to.pos);
    return result == 0;
  }

  [[noreturn]] void refuse_frame(std::size_t result) const {
    switch (ZSTD_getErrorCode(result)) {
      case ZSTD_error_memory_allocation:
        throw std::bad_alloc();
      case ZSTD_error_frameParameter_windowTooLarge:
        refuse(" data needs a window of more than 128 MiB");
      case ZSTD_error_checksum_wrong:
        corrupt("its checksum does not match");
      case ZSTD_error_dictionary_wrong:
        corrupt("it needs a dictionary");
      default:
        corrupt(ZSTD_getErrorName(result));
    }
  }

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
  bool at_start_ = true;
};

bool starts_with(std::span<const std::byte> head, std::string_view magic) {
  return head.size() >= magic.size() && std::memcmp(head.data(), magic.data(), magic.size()) == 0;
}

// RFC 8878 section 3.1.2: 0x184D2A50 to 0x184D2A5F, little endian.
bool is_skippable_frame(std::span<const std::byte> head) {
  return head.size() >= 4 && (head[0] & std::byte{0xf0}) == std::byte{0x50} &&
         std::memcmp(head.data() + 1, "\x2a\x4d\x18", 3) == 0;
}

}  // namespace

std::unique_ptr<Decompressor> open_decompressor(ByteSource source, OutputRing& ring,
                                                Checksums checksums) {
  Input input(std::move(source));
  const auto head = input.peek();
  if (starts_with(head, "\x1f\x8b")) return std::make_unique<GzipDecoder>(std::move(input), ring);
  if (starts_with(head, "\x28\xb5\x2f\xfd") || is_skippable_frame(head)) {
    return std::make_unique<ZstdDecoder>(std::move(input), ring, checksums);
  }
  if (starts_with(head, std::string_view("\xfd"
                                         "7zXZ\0",
                                         6))) {
    return std::make_unique<XzDecoder>(std::move(input), ring);
  }
  if (starts_with(head, "BZh")) return std::make_unique<Bzip2Decoder>(std::move(input), ring);
  return std::make_unique<PlainReader>(std::move(input), ring);
}

std::unique_ptr<Decompressor> open_plain(ByteSource source, OutputRing& ring) {
  return std::make_unique<PlainReader>(Input(std::move(source)), ring);
}

}  // namespace pyro
