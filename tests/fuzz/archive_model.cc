// A model of stacked layers as on a file system.
#include "archive_model.h"

#include <algorithm>
#include <vector>

#include "base/content_kind.h"
#include "base/text.h"
#include "stream/artifacts.h"
#include "stream/decompress.h"
#include "stream/merged_view.h"
#include "stream/tar.h"

namespace pyro::fuzz {
namespace {

std::string content_of(const TarMember& member, TarReader& reader) {
  std::string content(member.size, '\0');
  while (const auto data = reader.next_data()) {
    std::ranges::copy(data->bytes, std::as_writable_bytes(std::span(content)).begin() +
                                       static_cast<std::ptrdiff_t>(data->offset));
  }
  return content;
}

std::string unpacked(const std::string& content) {
  OutputRing ring;
  const auto decompressor =
      open_decompressor(in_pieces(std::as_bytes(std::span(content)), 0), ring, Checksums::leave);
  std::string text;
  for (auto piece = decompressor->next(0); !piece.empty(); piece = decompressor->next(0)) {
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  }
  return text;
}

std::vector<std::string> components_of(std::string_view path) {
  std::vector<std::string> components;
  while (!path.empty()) components.emplace_back(take_component(path));
  return components;
}

}  // namespace

void ArchiveModel::add(Bytes layer) {
  OutputRing ring;
  const auto decompressor = open_decompressor(in_pieces(layer, 0), ring, Checksums::leave);
  TarReader reader([&] { return decompressor->next(0); });
  while (const auto member = reader.next()) lay(*member, reader);
  lower_.merge(upper_);
  upper_.clear();
}

void ArchiveModel::lay(const TarMember& member, TarReader& reader) {
  const std::string path = normal_member_path(member.path);
  const std::string name(base_name_of(path));
  for (std::string_view folder = parent_of(path); !folder.empty(); folder = parent_of(folder)) {
    const Node* const node = find(std::string(folder));
    if (node != nullptr && !node->content) exact_ = false;
  }
  if (std::max(path.size(), member.link_target.size()) > LinkMap::kMaxPath) exact_ = false;
  if (hard_targets_.contains(path)) exact_ = false;
  switch (member.type) {
    case TarMember::Type::directory:
      lower_.erase(path);
      if (const auto node = upper_.find(path); node != upper_.end() && !node->second.content) {
        upper_.erase(node);
      }
      return;
    case TarMember::Type::file:
      if (name.starts_with(".wh.")) return whiteout(std::string(parent_of(path)), name.substr(4));
      return put(path, {.content = content_of(member, reader)});
    case TarMember::Type::symlink:
      return put(path, {.target = member.link_target});
    case TarMember::Type::hardlink:
      put(path, {.target = member.link_target, .hard = true});
      if (const auto end = end_of(path)) hard_targets_.insert(*end);
      return;
    default:
      remove(path);
      upper_.erase(path);
  }
}

void ArchiveModel::put(const std::string& path, Node node) {
  remove(path);
  upper_.insert_or_assign(path, std::move(node));
}

void ArchiveModel::whiteout(const std::string& directory, const std::string& name) {
  if (name == ".wh..opq") return remove_below(directory);
  if (name.starts_with(".wh.")) return;
  remove(joined(directory, name));
}

void ArchiveModel::remove(const std::string& path) {
  lower_.erase(path);
  remove_below(path);
}

void ArchiveModel::remove_below(const std::string& directory) {
  std::erase_if(lower_, [&](const auto& node) { return is_below(node.first, directory); });
  for (const std::string& target : hard_targets_) {
    if (target == directory || is_below(target, directory)) exact_ = false;
  }
}

const ArchiveModel::Node* ArchiveModel::find(const std::string& path) const {
  for (const Nodes* nodes : {&upper_, &lower_}) {
    if (const auto node = nodes->find(path); node != nodes->end()) return &node->second;
  }
  return nullptr;
}

/// The path with all links followed; nothing if it leads outside or in circles.
std::optional<std::string> ArchiveModel::end_of(const std::string& path) const {
  std::vector<std::string> done;
  std::vector<std::string> pending = components_of(path);
  std::ranges::reverse(pending);
  const auto text_of = [&] {
    std::string text;
    for (const std::string& component : done) text = joined(text, component);
    return text;
  };
  for (std::size_t followed = 0; !pending.empty();) {
    const std::string component = pending.back();
    pending.pop_back();
    if (component.empty() || component == ".") continue;
    if (component == "..") {
      if (done.empty()) return std::nullopt;
      done.pop_back();
      continue;
    }
    done.push_back(component);
    const Node* const node = find(text_of());
    if (node == nullptr || node->content) continue;
    if (node->target.starts_with('/') || ++followed > LinkMap::kMaxFollowed) return std::nullopt;
    done.pop_back();
    if (node->hard) done.clear();
    auto target = components_of(node->target);
    pending.insert(pending.end(), target.rbegin(), target.rend());
  }
  return text_of();
}

std::optional<std::string> ArchiveModel::end_of_artifact(std::size_t kind) const {
  std::optional<std::string> best;
  std::size_t depth = 0;
  for (const auto& [path, node] : lower_) {
    if (packed_artifact_index(base_name_of(path)) != kind) continue;
    if (best && depth_of(path) >= depth) continue;
    const auto end = end_of(path);
    const Node* const file = end ? find(*end) : nullptr;
    if (file == nullptr || !file->content) continue;
    if (packed_artifact_index(base_name_of(*end)).value_or(kind) != kind) continue;
    best = end;
    depth = depth_of(path);
  }
  return best;
}

bool ArchiveModel::is_exact() const {
  std::set<std::string> ends;
  std::size_t found = 0;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    const auto end = end_of_artifact(kind);
    if (!end) continue;
    ++found;
    ends.insert(*end);
  }
  return exact_ && ends.size() == found;
}

std::optional<std::string> ArchiveModel::artifact(std::size_t kind) const {
  const auto end = end_of_artifact(kind);
  if (!end) return std::nullopt;
  const std::string& content = *find(*end)->content;
  const bool is_packed = may_be_packed(kind, base_name_of(*end)) &&
                         begins_as(std::as_bytes(std::span(content)), ContentUse::compressed);
  return is_packed ? unpacked(content) : content;
}

}  // namespace pyro::fuzz
