// Decompressors over ISA-L, libzstd, liblzma and libbz2, all turned by one loop.
#include "stream/decompress.h"

#include <bzlib.h>
#include <isa-l/igzip_lib.h>
#include <lzma.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <utility>

#include "pyro/error.h"

namespace pyro {
namespace {

constexpr int kMaxZstdWindowLog = 27;
constexpr std::uint64_t kMaxXzMemory = std::uint64_t{128} << 20;
constexpr std::size_t kLongestMagic = 6;

[[noreturn]] void refuse(std::string message) {
  throw Error(ErrorCode::integrity, std::move(message));
}

/// The source with the first bytes put back that were looked at to tell the format.
class Input {
 public:
  explicit Input(ByteSource source) : source_(std::move(source)) {}

  /// The first bytes of the stream: kLongestMagic of them, fewer only if there are no more.
  std::span<const std::byte> peek() {
    while (head_size_ < head_.size()) {
      if (rest_.empty()) rest_ = source_();
      if (rest_.empty()) break;
      const std::size_t n = std::min(rest_.size(), head_.size() - head_size_);
      std::copy_n(rest_.begin(), n, head_.begin() + head_size_);
      head_size_ += n;
      rest_ = rest_.subspan(n);
    }
    return std::span(head_).first(head_size_);
  }

  /// The next piece; empty at the end.
  std::span<const std::byte> next() {
    if (!head_given_) {
      head_given_ = true;
      if (head_size_ > 0) return std::span<const std::byte>(head_).first(head_size_);
    }
    if (!rest_.empty()) return std::exchange(rest_, {});
    return source_();
  }

 private:
  ByteSource source_;
  std::array<std::byte, kLongestMagic> head_{};
  std::size_t head_size_ = 0;
  bool head_given_ = false;
  std::span<const std::byte> rest_;
};

/// The loop all formats share; a codec advances `in` and `out` by what it took and made.
class CodecLoop : public Decompressor {
 public:
  explicit CodecLoop(Input input) : input_(std::move(input)) {}

  std::size_t read(std::span<std::byte> out) final {
    const std::size_t wanted = out.size();
    while (!out.empty() && !finished_) {
      if (in_.empty() && !drained_) {
        in_ = input_.next();
        drained_ = in_.empty();
      }
      step(in_, out, drained_);
    }
    return wanted - out.size();
  }

 protected:
  /// One turn. With `drained` there is no more input to come. Makes progress, calls finish(), or
  /// throws.
  virtual void step(std::span<const std::byte>& in, std::span<std::byte>& out, bool drained) = 0;

  void finish() { finished_ = true; }

  [[noreturn]] void truncated() const { refuse(std::string(name()) + " data ends too early"); }
  [[noreturn]] void corrupt(std::string_view why) const {
    refuse(std::string(name()) + " data is damaged: " + std::string(why));
  }

 private:
  Input input_;
  std::span<const std::byte> in_;
  bool drained_ = false;
  bool finished_ = false;
};

class Plain final : public CodecLoop {
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

/// Formats whose files may be several streams one after the other (RFC 1952 section 2.2 and RFC
/// 8878 section 3 say so; bzip2 tools do so), possibly with zero bytes behind the last.
class Members : public CodecLoop {
 public:
  using CodecLoop::CodecLoop;

 protected:
  virtual void begin_member() = 0;
  /// One turn within a member; true when that ended it.
  virtual bool decode(std::span<const std::byte>& in, std::span<std::byte>& out) = 0;
  /// Whether a first byte may begin another member.
  [[nodiscard]] virtual bool begins(std::byte first) const = 0;

 private:
  void step(std::span<const std::byte>& in, std::span<std::byte>& out, bool drained) final {
    if (!within_) return between(in, drained);
    const std::size_t had = in.size() + out.size();
    if (decode(in, out)) {
      within_ = false;
      padding_ = false;
      first_ = false;
    } else if (drained && in.size() + out.size() == had) {
      truncated();
    }
  }

  void between(std::span<const std::byte>& in, bool drained) {
    if (drained) return first_ ? truncated() : finish();
    while (!first_ && !in.empty() && in.front() == std::byte{0}) {
      padding_ = true;
      in = in.subspan(1);
    }
    if (in.empty()) return;
    if (!first_ && (padding_ || !begins(in.front()))) corrupt("something follows its end");
    begin_member();
    within_ = true;
  }

  bool within_ = false;
  bool padding_ = false;
  bool first_ = true;
};

class Gzip final : public Members {
 public:
  explicit Gzip(Input input) : Members(std::move(input)), state_(new inflate_state) {
    isal_inflate_init(state_.get());
  }
  std::string_view name() const noexcept override { return "gzip"; }

 private:
  void begin_member() override {
    isal_inflate_reset(state_.get());
    state_->crc_flag = ISAL_GZIP;
  }
  bool begins(std::byte first) const override { return first == std::byte{0x1f}; }

  bool decode(std::span<const std::byte>& in, std::span<std::byte>& out) override {
    // ISA-L takes pointers to what it does not change, and counts in 32 bits.
    state_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(in.data()));
    state_->avail_in = static_cast<std::uint32_t>(std::min<std::size_t>(in.size(), UINT32_MAX));
    state_->next_out = reinterpret_cast<std::uint8_t*>(out.data());
    state_->avail_out = static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), UINT32_MAX));
    const std::uint32_t had_in = state_->avail_in;
    const std::uint32_t had_out = state_->avail_out;
    const int result = isal_inflate(state_.get());
    in = in.subspan(had_in - state_->avail_in);
    out = out.subspan(had_out - state_->avail_out);
    if (result != ISAL_DECOMP_OK && result != ISAL_END_INPUT) corrupt(describe(result));
    return state_->block_state == ISAL_BLOCK_FINISH;
  }

  static std::string_view describe(int result) {
    switch (result) {
      case ISAL_INCORRECT_CHECKSUM:
        return "its checksum does not match";
      case ISAL_UNSUPPORTED_METHOD:
        return "unknown compression method";
      case ISAL_INVALID_WRAPPER:
        return "bad header";
      case ISAL_INVALID_LOOKBACK:
        return "it refers to bytes before its start";
      default:
        return "bad block or symbol";
    }
  }

  std::unique_ptr<inflate_state> state_;
};

class Zstd final : public Members {
 public:
  explicit Zstd(Input input) : Members(std::move(input)), context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxZstdWindowLog);
  }
  std::string_view name() const noexcept override { return "zstd"; }

 private:
  void begin_member() override { ZSTD_DCtx_reset(context_.get(), ZSTD_reset_session_only); }
  // A frame, or a skippable frame.
  bool begins(std::byte first) const override {
    return first == std::byte{0x28} || (first & std::byte{0xf0}) == std::byte{0x50};
  }

  bool decode(std::span<const std::byte>& in, std::span<std::byte>& out) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t result = ZSTD_decompressStream(context_.get(), &output, &input);
    in = in.subspan(input.pos);
    out = out.subspan(output.pos);
    if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge) {
      refuse("zstd data needs a window of more than 128 MiB");
    }
    if (ZSTD_isError(result)) corrupt(ZSTD_getErrorName(result));
    return result == 0;
  }

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
};

class Bzip2 final : public Members {
 public:
  using Members::Members;
  ~Bzip2() override { end(); }
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
    constexpr std::size_t kMost = 1U << 30;  // libbz2 counts in unsigned int
    stream_.next_in = reinterpret_cast<char*>(const_cast<std::byte*>(in.data()));
    stream_.avail_in = static_cast<unsigned>(std::min(in.size(), kMost));
    stream_.next_out = reinterpret_cast<char*>(out.data());
    stream_.avail_out = static_cast<unsigned>(std::min(out.size(), kMost));
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
class Xz final : public CodecLoop {
 public:
  explicit Xz(Input input) : CodecLoop(std::move(input)) {
    if (lzma_stream_decoder(&stream_, kMaxXzMemory, LZMA_CONCATENATED) != LZMA_OK) {
      throw std::bad_alloc();
    }
  }
  ~Xz() override { lzma_end(&stream_); }
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
        refuse("xz data needs more than 128 MiB of memory");
      case LZMA_BUF_ERROR:
        truncated();
      default:
        corrupt("bad block or checksum");
    }
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
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

std::unique_ptr<Decompressor> open_decompressor(ByteSource source) {
  Input input(std::move(source));
  const auto head = input.peek();
  if (starts_with(head, "\x1f\x8b")) return std::make_unique<Gzip>(std::move(input));
  if (starts_with(head, "\x28\xb5\x2f\xfd") || is_skippable_frame(head)) {
    return std::make_unique<Zstd>(std::move(input));
  }
  if (starts_with(head, std::string_view("\xfd"
                                         "7zXZ\0",
                                         6))) {
    return std::make_unique<Xz>(std::move(input));
  }
  if (starts_with(head, "BZh")) return std::make_unique<Bzip2>(std::move(input));
  return std::make_unique<Plain>(std::move(input));
}

}  // namespace pyro
