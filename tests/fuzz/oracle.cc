// Shared by the fuzz targets.
#include "oracle.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace pyro::fuzz {
namespace {

constexpr unsigned kLargestPieceLog = 12;

/// Sizes up to a power of two, of which small ones matter most.
class PieceSizes {
 public:
  explicit PieceSizes(std::uint8_t cut) : cut_(cut), state_(cut) {}

  std::size_t next() {
    if (cut_ == 0) return SIZE_MAX;
    state_ = state_ * 1664525 + 1013904223;
    return 1 + (state_ >> 16) % (1U << cut_ % kLargestPieceLog);
  }

 private:
  std::uint8_t cut_;
  std::uint32_t state_;
};

}  // namespace

void fail(std::string_view what) {
  std::fprintf(stderr, "broken promise: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (;;) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == text.npos) return lines;
    text.remove_prefix(end + 1);
  }
}

CutInput::CutInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return;
  cut = data[0];
  bytes = std::as_bytes(std::span(data + 1, size - 1));
}

ByteSource in_pieces(Bytes bytes, std::uint8_t cut) {
  return [rest = bytes, sizes = PieceSizes(cut), piece = std::vector<std::byte>()]() mutable {
    const Bytes next = rest.first(std::min(rest.size(), sizes.next()));
    rest = rest.subspan(next.size());
    piece = std::vector<std::byte>(next.begin(), next.end());
    return Bytes(piece);
  };
}

}  // namespace pyro::fuzz
