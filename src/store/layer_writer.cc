// Writes a layer.
#include "store/layer_writer.h"

#include <algorithm>
#include <utility>

#include "base/tar_header.h"

namespace pyro {
namespace {

constexpr std::size_t kMostWaiting = 8;
constexpr std::size_t kPiece = std::size_t{1} << 20;

std::span<const std::byte> zero_piece() {
  static const std::vector<std::byte> zeros(kPiece);
  return zeros;
}

const char* media_type_of(LayerCompression compression) {
  switch (compression) {
    case LayerCompression::zstd:
      return "application/vnd.oci.image.layer.v1.tar+zstd";
    case LayerCompression::gzip:
      return "application/vnd.oci.image.layer.v1.tar+gzip";
    case LayerCompression::none:
      break;
  }
  return "application/vnd.oci.image.layer.v1.tar";
}

std::unique_ptr<Compressor> open_compressor(LayerCompression compression, std::uint64_t size,
                                            Compressor::Sink sink) {
  switch (compression) {
    case LayerCompression::zstd:
      return compress_zstd(size, std::move(sink));
    case LayerCompression::gzip:
      return compress_gzip(size, std::move(sink));
    case LayerCompression::none:
      break;
  }
  return compress_none(size, std::move(sink));
}

}  // namespace

LayerWriter::LayerWriter(LayoutWriter& layout, LayerCompression compression, std::uint64_t tar_size)
    : layout_(layout),
      compression_(compression),
      compressor_(open_compressor(compression, tar_size,
                                  [&](std::span<const std::byte> bytes) { layout_.write(bytes); })),
      worker_(kMostWaiting, [this](const std::vector<std::byte>& bytes) {
        compressor_->write(bytes.empty() ? zero_piece() : bytes);
      }) {
  layout_.begin_blob();
}

std::uint64_t LayerWriter::tar_size(std::span<const std::uint64_t> members) {
  std::uint64_t total = kTarEnd;
  for (const std::uint64_t size : members) total += kTarBlock + size + tar_padding(size);
  return total;
}

void LayerWriter::begin_member(std::string_view name, std::uint64_t size) {
  member_size_ = size;
  data(make_tar_header(name, size));
}

// In pieces of one size, whatever the pieces are that it comes in: what a compressor makes of them
// depends on that.
void LayerWriter::data(std::span<const std::byte> bytes) {
  diff_.update(bytes);
  while (!bytes.empty()) {
    const auto part = bytes.first(std::min(bytes.size(), kPiece - piece_.size()));
    piece_.insert(piece_.end(), part.begin(), part.end());
    bytes = bytes.subspan(part.size());
    if (piece_.size() == kPiece) pass_on();
  }
}

void LayerWriter::zeros(std::uint64_t count) {
  while (count > 0) {
    const auto part = zero_piece().first(
        static_cast<std::size_t>(std::min<std::uint64_t>(count, kPiece - piece_.size())));
    count -= part.size();
    if (part.size() < kPiece) {
      data(part);
    } else {
      diff_.update(part);
      worker_.push({});
    }
  }
}

void LayerWriter::pass_on() {
  worker_.push(std::exchange(piece_, {}));
  piece_.reserve(kPiece);
}

void LayerWriter::end_member() {
  zeros(tar_padding(member_size_));
}

LayerWriter::Layer LayerWriter::finish() {
  zeros(kTarEnd);
  if (!piece_.empty()) pass_on();
  worker_.drain();
  compressor_->finish();
  return {.descriptor = layout_.end_blob(media_type_of(compression_)), .diff_id = diff_.finish()};
}

}  // namespace pyro
