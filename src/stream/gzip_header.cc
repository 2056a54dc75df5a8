// The header of a gzip member.
#include "stream/gzip_header.h"

#include <isa-l/crc.h>

#include <algorithm>
#include <array>

namespace pyro {
namespace {

constexpr std::uint32_t kFlagsAt = 3;
constexpr std::byte kReservedFlags{0xe0};
constexpr std::array kBeginning = {std::byte{0x1f}, std::byte{0x8b}};
constexpr std::byte kDeflate{8};

std::uint32_t crc_of(std::uint32_t crc, std::span<const std::byte> bytes) {
  return crc32_gzip_refl(crc, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

}  // namespace

GzipHeader::State GzipHeader::take(std::span<const std::byte>& in) {
  State state = State::incomplete;
  while (state == State::incomplete && !in.empty()) state = take_piece(in);
  return state;
}

// Up to the end of the field, or of what there is.
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

/// What is reserved may change the meaning of all that follows (section 2.3.1.2).
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

}  // namespace pyro
