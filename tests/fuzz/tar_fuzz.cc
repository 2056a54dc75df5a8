// The tar reader: its result does not depend on the pieces of the stream.
#include <optional>
#include <string>
#include <vector>

#include "oracle.h"
#include "stream/tar.h"

namespace pyro::fuzz {
namespace {

struct Extent {
  std::uint64_t offset = 0;
  std::string bytes;
  friend bool operator==(const Extent&, const Extent&) = default;
};

struct Member {
  TarMember header;
  std::vector<Extent> data;
};

bool same(const Member& one, const Member& other) {
  return one.header.path == other.header.path && one.header.type == other.header.type &&
         one.header.size == other.header.size &&
         one.header.link_target == other.header.link_target && one.data == other.data;
}

/// Pieces that follow each other are one.
void add(std::vector<Extent>& extents, const TarData& data) {
  if (data.bytes.empty()) return;
  if (extents.empty() || extents.back().offset + extents.back().bytes.size() != data.offset) {
    extents.push_back({data.offset, {}});
  }
  extents.back().bytes.append(reinterpret_cast<const char*>(data.bytes.data()), data.bytes.size());
}

/// Nothing where the archive is refused.
std::optional<std::vector<Member>> read(Bytes archive, std::uint8_t cut) {
  std::vector<Member> members;
  const bool sound = accepts(ErrorCode::integrity, [&] {
    TarReader reader(in_pieces(archive, cut));
    while (auto header = reader.next()) {
      Member& member = members.emplace_back(Member{std::move(*header), {}});
      if (member.header.type != TarMember::Type::file) continue;
      while (const auto data = reader.next_data()) add(member.data, *data);
    }
    reader.finish();
  });
  return sound ? std::optional(std::move(members)) : std::nullopt;
}

void require_same(const std::vector<Member>& one, const std::vector<Member>& other) {
  require(one.size() == other.size(), "as many members are found");
  for (std::size_t i = 0; i < one.size(); ++i) require(same(one[i], other[i]), "... and the same");
}

/// The members hold no more bytes than the archive.
void require_bounded(const std::vector<Member>& members, std::size_t size) {
  std::size_t total = 0;
  for (const Member& member : members) {
    for (const Extent& extent : member.data) total += extent.bytes.size();
  }
  require(total <= size && members.size() <= size / 512, "a member takes its place in the archive");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const CutInput input(data, size);
  const auto whole = read(input.bytes, 0);
  if (whole) require_bounded(*whole, input.bytes.size());
  if (input.cut == 0) return 0;
  const auto cut = read(input.bytes, input.cut);
  require(whole.has_value() == cut.has_value(), "it is taken in one piece and in many, or not");
  if (whole) require_same(*whole, *cut);
  return 0;
}
