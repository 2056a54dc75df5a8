// Compressors by libzstd and ISA-L.
#include "stream/compress.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <algorithm>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "pyro/error.h"

namespace pyro {
namespace {

class PlainCompressor final : public Compressor {
 public:
  explicit PlainCompressor(Sink sink) : sink_(std::move(sink)) {}
  void write(std::span<const std::byte> bytes) override { sink_(bytes); }
  void finish() override {}

 private:
  Sink sink_;
};

/// At libzstd's default level. Without a checksum: the layer has a digest.
class ZstdCompressor final : public Compressor {
 public:
  ZstdCompressor(std::uint64_t size, Sink sink)
      : sink_(std::move(sink)), context_(ZSTD_createCCtx()), buffer_(ZSTD_CStreamOutSize()) {
    if (!context_) throw std::bad_alloc();
    check(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, ZSTD_CLEVEL_DEFAULT));
    check(ZSTD_CCtx_setPledgedSrcSize(context_.get(), size));
  }

  void write(std::span<const std::byte> bytes) override {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    while (in.pos < in.size) turn(in, ZSTD_e_continue);
  }

  void finish() override {
    ZSTD_inBuffer none{nullptr, 0, 0};
    while (turn(none, ZSTD_e_end) != 0) {
    }
  }

 private:
  /// The number of bytes still to be flushed.
  std::size_t turn(ZSTD_inBuffer& in, ZSTD_EndDirective directive) {
    ZSTD_outBuffer out{buffer_.data(), buffer_.size(), 0};
    const std::size_t left = check(ZSTD_compressStream2(context_.get(), &out, &in, directive));
    if (out.pos > 0) sink_(std::span(buffer_).first(out.pos));
    return left;
  }

  static std::size_t check(std::size_t result) {
    if (ZSTD_isError(result) == 0) return result;
    throw Error(ErrorCode::failed,
                std::string("zstd cannot compress: ") + ZSTD_getErrorName(result));
  }

  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  Sink sink_;
  std::unique_ptr<ZSTD_CCtx, Free> context_;
  std::vector<std::byte> buffer_;
};

class GzipCompressor final : public Compressor {
 public:
  explicit GzipCompressor(Sink sink)
      : sink_(std::move(sink)),
        stream_(std::make_unique<isal_zstream>()),
        levels_(ISAL_DEF_LVL2_DEFAULT),
        buffer_(kBuffer) {
    isal_deflate_init(stream_.get());
    stream_->level = 2;
    stream_->level_buf = levels_.data();
    stream_->level_buf_size = static_cast<std::uint32_t>(levels_.size());
    stream_->gzip_flag = IGZIP_GZIP;
  }

  void write(std::span<const std::byte> bytes) override {
    constexpr std::size_t kMax = 1U << 30;  // ISA-L counts in 32 bits
    while (!bytes.empty()) {
      const auto piece = bytes.first(std::min(bytes.size(), kMax));
      bytes = bytes.subspan(piece.size());
      stream_->next_in = reinterpret_cast<std::uint8_t*>(const_cast<std::byte*>(piece.data()));
      stream_->avail_in = static_cast<std::uint32_t>(piece.size());
      while (stream_->avail_in > 0) turn();
    }
  }

  void finish() override {
    stream_->end_of_stream = 1;
    while (stream_->internal_state.state != ZSTATE_END) turn();
  }

 private:
  void turn() {
    stream_->next_out = reinterpret_cast<std::uint8_t*>(buffer_.data());
    stream_->avail_out = static_cast<std::uint32_t>(buffer_.size());
    if (isal_deflate(stream_.get()) != COMP_OK) {
      throw Error(ErrorCode::failed, "ISA-L cannot compress");
    }
    const std::size_t made = buffer_.size() - stream_->avail_out;
    if (made > 0) sink_(std::span(buffer_).first(made));
  }

  static constexpr std::size_t kBuffer = std::size_t{256} << 10;
  Sink sink_;
  std::unique_ptr<isal_zstream> stream_;
  std::vector<std::uint8_t> levels_;
  std::vector<std::byte> buffer_;
};

}  // namespace

std::unique_ptr<Compressor> compress_zstd(std::uint64_t size, Compressor::Sink sink) {
  return std::make_unique<ZstdCompressor>(size, std::move(sink));
}

std::unique_ptr<Compressor> compress_gzip(std::uint64_t /*size*/, Compressor::Sink sink) {
  return std::make_unique<GzipCompressor>(std::move(sink));
}

std::unique_ptr<Compressor> compress_none(std::uint64_t /*size*/, Compressor::Sink sink) {
  return std::make_unique<PlainCompressor>(std::move(sink));
}

}  // namespace pyro
