// The content of a tar's member.
#include "stream/member_content.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/content_kind.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kLongestMagic = 6;  // of what is compressed
constexpr std::array<std::byte, std::size_t{64} << 10> kZeros{};

}  // namespace

MemberContent::MemberContent(TarReader& tar, std::uint64_t size) : tar_(tar), size_(size) {
  while ((ahead_ = tar_.next_data())) {
    const auto bytes = ahead_->bytes;
    const bool follows = ahead_->offset == front_.size();
    if (!follows || front_.size() + bytes.size() >= kLongestMagic) return;
    front_.insert(front_.end(), bytes.begin(), bytes.end());
  }
}

bool MemberContent::is_compressed() const {
  std::vector<std::byte> head = front_;
  if (ahead_ && ahead_->offset == front_.size()) {
    const auto more = ahead_->bytes.first(std::min(ahead_->bytes.size(), kLongestMagic));
    head.insert(head.end(), more.begin(), more.end());
  }
  return begins_as(head, ContentUse::compressed);
}

std::optional<TarData> MemberContent::next() {
  if (!std::exchange(front_given_, true) && !front_.empty()) return TarData{0, front_};
  if (ahead_) return std::exchange(ahead_, std::nullopt);
  return tar_.next_data();
}

std::span<const std::byte> MemberContent::next_bytes() {
  while (true) {
    if (!current_ && !ended_) current_ = next();
    ended_ = !current_;
    const std::uint64_t offset = current_ ? current_->offset : size_;
    if (offset < position_ || offset > size_) {
      throw Error(ErrorCode::integrity,
                  "its sparse map overlaps, runs backwards or passes its size");
    }
    if (offset > position_) return zeros_up_to(offset);
    if (!current_) return {};
    const auto bytes = std::exchange(current_, std::nullopt)->bytes;
    position_ += bytes.size();
    if (!bytes.empty()) return bytes;
  }
}

std::span<const std::byte> MemberContent::zeros_up_to(std::uint64_t offset) {
  const auto n = std::min<std::uint64_t>(offset - position_, kZeros.size());
  position_ += n;
  return std::span(kZeros).first(static_cast<std::size_t>(n));
}

}  // namespace pyro
