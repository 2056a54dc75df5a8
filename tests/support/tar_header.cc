// One 512-byte tar header, truthful until tweaked.
#include "support/tar_header.h"

#include <fmt/format.h>

#include <algorithm>

namespace pyro::testing {
namespace {

constexpr std::size_t kHeaderSize = 512;
constexpr std::size_t kNameField = 100;
constexpr std::size_t kMode = 100, kSize = 124, kModified = 136, kChecksum = 148, kType = 156,
                      kLink = 157;
constexpr std::size_t kMagic = 257, kMajor = 329, kPrefix = 345;
constexpr std::size_t kSparseMap = 386, kSparseExtended = 482, kSparseRealSize = 483;
constexpr std::size_t kExtentsInHeader = 4, kExtentsInBlock = 21, kExtentLength = 24;

// Big-endian two's complement with the top bit set: GNU's form for what octal digits cannot say.
std::string base256(std::int64_t value) {
  std::string field(12, value < 0 ? '\xff' : '\0');
  for (std::size_t i = 0; i < 8; ++i) field[11 - i] = static_cast<char>(value >> (8 * i));
  field[0] = static_cast<char>(static_cast<unsigned char>(field[0]) | 0x80U);
  return field;
}

std::string number_field(std::int64_t value) {
  if (value < 0 || value >= (std::int64_t{1} << 33)) return base256(value);
  return fmt::format("{:011o}", value) + '\0';
}

std::string extents_field(const std::vector<SparseExtent>& extents, std::size_t from,
                          std::size_t count) {
  std::string field;
  for (std::size_t i = from; i < std::min(from + count, extents.size()); ++i) {
    field += number_field(extents[i].offset) + number_field(extents[i].size);
  }
  return field;
}

std::string_view magic_field(TarMagic magic) {
  switch (magic) {
    case TarMagic::ustar:
      return {"ustar\00000", 8};
    case TarMagic::gnu:
      return {"ustar  \0", 8};
    case TarMagic::v7:
      return {"\0\0\0\0\0\0\0\0", 8};
  }
  return {};
}

}  // namespace

TarHeader::TarHeader(char type, std::string_view name, std::uint64_t size)
    : block_(kHeaderSize, '\0'), size_(size) {
  put(0, name.substr(0, kNameField));
  put(kMode, std::string("0000644\0"
                         "0000000\0"
                         "0000000\0",
                         24));    // mode, uid, gid
  put(kModified, "14500000000");  // some day in 2023: the same archive on every day
  put(kType, std::string_view(&type, 1));
  put(kMagic, magic_field(TarMagic::ustar));
}

void TarHeader::set_link_target(std::string_view target) {
  put(kLink, target.substr(0, kNameField));
}

void TarHeader::set_sparse_map(std::int64_t real_size, const std::vector<SparseExtent>& extents) {
  put(kSparseMap, extents_field(extents, 0, kExtentsInHeader));
  put(kSparseRealSize, number_field(real_size));
  block_[kSparseExtended] = extents.size() > kExtentsInHeader ? '\1' : '\0';
}

std::string TarHeader::finish(const HeaderTweaks& tweaks) {
  const auto size = static_cast<std::int64_t>(tweaks.claimed_size.value_or(size_));
  put(kSize, tweaks.base256_size ? base256(size) : number_field(size));
  if (tweaks.type) block_[kType] = *tweaks.type;
  if (tweaks.mode) put(kMode, fmt::format("{:07o}", *tweaks.mode));
  if (tweaks.magic) put(kMagic, magic_field(*tweaks.magic));
  if (!tweaks.prefix.empty()) put(kPrefix, tweaks.prefix);
  for (const auto& [offset, bytes] : tweaks.patches) put(offset, bytes);
  put(kChecksum, "        ");
  unsigned sum = tweaks.wrong_checksum ? 1 : 0;
  for (unsigned char byte : block_) sum += byte;
  put(kChecksum, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return block_;
}

void TarHeader::put(std::size_t offset, std::string_view bytes) {
  block_.replace(offset, std::min(bytes.size(), kHeaderSize - offset),
                 bytes.substr(0, kHeaderSize - offset));
}

std::string sparse_extension_blocks(const std::vector<SparseExtent>& extents) {
  std::string blocks;
  for (std::size_t at = kExtentsInHeader; at < extents.size(); at += kExtentsInBlock) {
    std::string block = extents_field(extents, at, kExtentsInBlock);
    block.resize(kHeaderSize, '\0');
    if (at + kExtentsInBlock < extents.size()) block[kExtentsInBlock * kExtentLength] = '\1';
    blocks += block;
  }
  return blocks;
}

std::pair<std::size_t, std::string> device_patch(unsigned major, unsigned minor) {
  return {kMajor, fmt::format("{:07o}", major) + '\0' + fmt::format("{:07o}", minor) + '\0'};
}

}  // namespace pyro::testing
