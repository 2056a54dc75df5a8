// Builds tar streams byte by byte, so that malformed ones can be made as well.
#include "support/tar_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "support/tar_header.h"

namespace pyro::testing {
namespace {

constexpr std::size_t kBlock = 512;

std::size_t padding_after(std::size_t size, std::size_t unit) {
  return (unit - size % unit) % unit;
}

std::string joined_map(const std::vector<SparseExtent>& extents, char separator) {
  std::string text;
  for (const SparseExtent& extent : extents) {
    if (!text.empty()) text += separator;
    text += fmt::format("{}{}{}", extent.offset, separator, extent.size);
  }
  return text;
}

std::string joined_records(const PaxRecords& records) {
  std::string body;
  for (const auto& [key, value] : records) body += pax_record(key, value);
  return body;
}

PaxRecords sparse_records(SparseFormat format, std::string_view name, const SparseFile& file) {
  const std::string size = std::to_string(file.size);
  const std::string count = std::to_string(file.extents.size());
  if (format == SparseFormat::pax_1_0) {
    return {{"GNU.sparse.major", "1"},
            {"GNU.sparse.minor", "0"},
            {"GNU.sparse.name", std::string(name)},
            {"GNU.sparse.realsize", size}};
  }
  PaxRecords records{{"GNU.sparse.size", size}, {"GNU.sparse.numblocks", count}};
  if (format == SparseFormat::pax_0_1) {
    records.emplace_back("GNU.sparse.name", name);
    records.emplace_back("GNU.sparse.map", joined_map(file.extents, ','));
    return records;
  }
  for (const SparseExtent& extent : file.extents) {
    records.emplace_back("GNU.sparse.offset", std::to_string(extent.offset));
    records.emplace_back("GNU.sparse.numbytes", std::to_string(extent.size));
  }
  return records;
}

// Version 1.0 keeps its map in front of the data.
std::string sparse_1_0_content(const SparseFile& file) {
  std::string map = fmt::format("{}\n", file.extents.size());
  if (!file.extents.empty()) map += joined_map(file.extents, '\n') + "\n";
  map.append(padding_after(map.size(), kBlock), '\0');
  return map + file.stored;
}

std::string whiteout_name(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  const std::size_t base = slash == std::string_view::npos ? 0 : slash + 1;
  return fmt::format("{}.wh.{}", path.substr(0, base), path.substr(base));
}

}  // namespace

SparseFile sparse_file(std::string_view content, std::size_t block) {
  SparseFile file;
  file.size = static_cast<std::int64_t>(content.size());
  for (std::size_t at = 0; at < content.size(); at += block) {
    const std::string_view piece = content.substr(at, block);
    if (piece.find_first_not_of('\0') == std::string_view::npos) continue;
    const auto offset = static_cast<std::int64_t>(at);
    const auto size = static_cast<std::int64_t>(piece.size());
    const bool continues =
        !file.extents.empty() && file.extents.back().offset + file.extents.back().size == offset;
    if (continues) {
      file.extents.back().size += size;
    } else {
      file.extents.push_back({offset, size});
    }
    file.stored += piece;
  }
  // As GNU tar does: an empty extent at the end says how long the file is.
  const bool ends_in_hole =
      file.extents.empty() || file.extents.back().offset + file.extents.back().size < file.size;
  if (ends_in_hole) file.extents.push_back({file.size, 0});
  return file;
}

std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = fmt::format(" {}={}\n", key, value);
  std::size_t length = rest.size() + 1;
  // The length counts its own digits.
  while (std::to_string(length).size() + rest.size() != length) {
    length = std::to_string(length).size() + rest.size();
  }
  return std::to_string(length) + rest;
}

TarBuilder& TarBuilder::member(char type, std::string_view name, std::string_view content,
                               std::string_view link_target) {
  TarHeader header(type, name, content.size());
  header.set_link_target(link_target);
  tar_ += header.finish(std::exchange(tweaks_, {}));
  append_padded(content);
  return *this;
}

TarBuilder& TarBuilder::file(std::string_view name, std::string_view content) {
  return member('0', name, content);
}

TarBuilder& TarBuilder::directory(std::string_view name) {
  if (!tweaks_.mode) tweaks_.mode = 0755;
  return member('5', name);
}

TarBuilder& TarBuilder::symlink(std::string_view name, std::string_view target) {
  return member('2', name, {}, target);
}

TarBuilder& TarBuilder::hardlink(std::string_view name, std::string_view target) {
  return member('1', name, {}, target);
}

TarBuilder& TarBuilder::char_device(std::string_view name, unsigned major, unsigned minor) {
  tweaks_.patches.push_back(device_patch(major, minor));
  return member('3', name);
}

TarBuilder& TarBuilder::block_device(std::string_view name, unsigned major, unsigned minor) {
  tweaks_.patches.push_back(device_patch(major, minor));
  return member('4', name);
}

TarBuilder& TarBuilder::fifo(std::string_view name) {
  return member('6', name);
}

TarBuilder& TarBuilder::sparse(SparseFormat format, std::string_view name, const SparseFile& file) {
  if (format == SparseFormat::gnu_old) return gnu_old_sparse(name, file);
  HeaderTweaks tweaks = std::exchange(tweaks_, {});  // meant for the member, not for its pax header
  pax(sparse_records(format, name, file));
  tweak(std::move(tweaks));
  if (format == SparseFormat::pax_0_0) return this->file(name, file.stored);
  const bool map_in_data = format == SparseFormat::pax_1_0;
  return this->file(fmt::format("GNUSparseFile.0/{}", name),
                    map_in_data ? sparse_1_0_content(file) : file.stored);
}

TarBuilder& TarBuilder::gnu_old_sparse(std::string_view name, const SparseFile& file) {
  if (!tweaks_.magic) tweaks_.magic = TarMagic::gnu;
  TarHeader header('S', name, file.stored.size());
  header.set_sparse_map(file.size, file.extents);
  tar_ += header.finish(std::exchange(tweaks_, {}));
  tar_ += sparse_extension_blocks(file.extents);
  append_padded(file.stored);
  return *this;
}

TarBuilder& TarBuilder::whiteout(std::string_view path) {
  return file(whiteout_name(path), {});
}

TarBuilder& TarBuilder::opaque_whiteout(std::string_view directory) {
  return file(fmt::format("{}{}.wh..wh..opq", directory, directory.empty() ? "" : "/"), {});
}

TarBuilder& TarBuilder::pax(const PaxRecords& records) {
  return pax_raw(joined_records(records));
}

TarBuilder& TarBuilder::pax_global(const PaxRecords& records) {
  return pax_raw(joined_records(records), 'g');
}

TarBuilder& TarBuilder::pax_raw(std::string_view body, char type) {
  return member(type, type == 'g' ? "GlobalHead.0" : "PaxHeaders.0/member", body);
}

TarBuilder& TarBuilder::gnu_long_name(std::string_view name) {
  if (!tweaks_.magic) tweaks_.magic = TarMagic::gnu;
  return member('L', "././@LongLink", std::string(name) + '\0');
}

TarBuilder& TarBuilder::gnu_long_link(std::string_view target) {
  if (!tweaks_.magic) tweaks_.magic = TarMagic::gnu;
  return member('K', "././@LongLink", std::string(target) + '\0');
}

TarBuilder& TarBuilder::tweak(HeaderTweaks tweaks) {
  tweaks_ = std::move(tweaks);
  return *this;
}

TarBuilder& TarBuilder::raw(std::string_view bytes) {
  tar_ += bytes;
  return *this;
}

std::string TarBuilder::finish(std::size_t record_size) const {
  std::string tar = tar_ + std::string(2 * kBlock, '\0');
  tar.append(padding_after(tar.size(), record_size), '\0');
  return tar;
}

void TarBuilder::append_padded(std::string_view content) {
  tar_ += content;
  tar_.append(padding_after(content.size(), kBlock), '\0');
}

}  // namespace pyro::testing
