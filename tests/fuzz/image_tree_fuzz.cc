// Layers of a container image: the file system that comes of them has what the model has, is
// consistent, and is the same with any key of the name table. seeds/layers.cc has the form of the
// input.
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/files.h"
#include "image/ext4_writer.h"
#include "image/layers.h"
#include "layer_model.h"
#include "oracle.h"
#include "support/ext4_image.h"

namespace pyro::fuzz {
namespace {

using image::LayerEntry;
using Type = LayerEntry::Type;

constexpr std::size_t kMaxLines = 300;
constexpr std::size_t kMaxPathOfInput = 5000;

struct Line {
  bool begins_layer = false;
  LayerEntry entry = {};
  std::string content = {};
  std::uint64_t content_at = 0;  ///< Behind a hole.
};

std::optional<Type> type_of_letter(char letter) {
  switch (letter) {
    case 'f':
      return Type::file;
    case 'd':
      return Type::directory;
    case 'l':
      return Type::symlink;
    case 'h':
      return Type::hard_link;
    case 'c':
      return Type::character_device;
    case 'b':
      return Type::block_device;
    case 'p':
      return Type::fifo;
    default:
      return std::nullopt;
  }
}

/// All attributes follow from one character.
void set_attributes(Line& line, unsigned char seed) {
  LayerEntry& entry = line.entry;
  const unsigned number = seed == '0' ? 0 : seed;
  entry.mode = number * 53 & 07777;
  entry.uid = number * 1000;
  entry.gid = number * 7;
  entry.modified = {.seconds = static_cast<std::int64_t>(number) * 60'000'000 - 2'000'000'000,
                    .nanoseconds = number * 1'000'003};
  entry.device_major = number / 2 * 17;
  entry.device_minor = number * 300;
  if (number % 5 == 1) entry.xattrs.push_back({"user.a", std::string(number, 'v')});
  if (number % 7 == 1) entry.xattrs.push_back({"security.capability", std::string(20, 'c')});
  if (number % 11 == 1) entry.xattrs.push_back({"trusted.overlay.opaque", "y"});
  if (entry.type != Type::file) return;
  line.content = entry.path.substr(0, number % 16);
  if (number % 3 == 1) line.content.append(number * 100, 'x');
  if (number % 4 == 1 && !line.content.empty()) line.content_at = std::uint64_t{number} * 1024;
}

std::vector<Line> lines_of_layers(std::string_view text) {
  std::vector<Line> lines;
  for (const std::string& words : lines_of(text)) {
    if (lines.size() == kMaxLines) break;
    if (words.starts_with('-')) lines.push_back({.begins_layer = true});
    if (words.size() < 3 || words.size() > kMaxPathOfInput) continue;
    const auto type = type_of_letter(words[0]);
    if (!type) continue;
    Line line{.entry = {.path = "", .type = *type}};
    std::size_t path_end = words.size();
    if (type == Type::symlink || type == Type::hard_link) {
      path_end = std::min(words.find(' ', 3), words.size());
      if (path_end < words.size()) line.entry.link_target = words.substr(path_end + 1);
    }
    line.entry.path = words.substr(3, path_end - 3);
    set_attributes(line, static_cast<unsigned char>(words[1]));
    lines.push_back(std::move(line));
  }
  return lines;
}

struct Built {
  Fd file;
  bool is_refused = false;
};

/// Stops at the first line that is refused, where the model has to agree.
Built build(const std::vector<Line>& lines, const image::SipKey& key, LayerModel& model) {
  Built built{.file = make_memory_file("rootfs.ext4")};
  image::Ext4Writer writer(built.file.get());
  image::Layers layers(writer, key);
  const auto begin = [&] {
    model.begin_layer();
    return accepts(ErrorCode::integrity, [&] { layers.begin_layer(); });
  };
  if (!begin()) return built;
  for (const Line& line : lines) {
    if (line.begins_layer) {
      layers.end_layer();
      built.is_refused = !begin();
      if (built.is_refused) return built;
      continue;
    }
    bool has_content = false;
    const bool is_sound =
        accepts(ErrorCode::integrity, [&] { has_content = layers.add(line.entry); });
    const std::string content(line.content_at, '\0');
    const bool is_sound_in_model = model.add(line.entry, content + line.content);
    require(is_sound == is_sound_in_model, "an entry is refused for a reason");
    built.is_refused = !is_sound;
    if (!is_sound) return built;
    if (!has_content) continue;
    writer.data(line.content_at, std::as_bytes(std::span(line.content)));
    writer.end(line.content_at + line.content.size());
  }
  layers.end_layer();
  const std::uint64_t size = writer.finish(layers.tree(), {}).size;
  struct stat status {};
  require(
      ::fstat(built.file.get(), &status) == 0 && static_cast<std::uint64_t>(status.st_size) == size,
      "the file system has its size");
  return built;
}

char letter_of(Type type) {
  switch (type) {
    case Type::directory:
      return 'd';
    case Type::symlink:
      return 'l';
    case Type::character_device:
      return 'c';
    case Type::block_device:
      return 'b';
    case Type::fifo:
      return 'p';
    default:
      return '-';
  }
}

std::map<std::string, std::string> kept_xattrs_of(const LayerEntry& entry) {
  std::map<std::string, std::string> kept;
  for (const auto& [name, value] : entry.xattrs) {
    if (!name.starts_with("trusted.overlay.")) kept[name] = value;
  }
  return kept;
}

void check_file(const testing::Ext4File& file, const LayerModel::Node& node) {
  const LayerEntry& entry = node.attributes;
  require(file.type == letter_of(entry.type), "a file has its type");
  require(file.permissions == (entry.type == Type::symlink ? 0777 : entry.mode),
          "... and its mode");
  require(file.uid == entry.uid && file.gid == entry.gid, "... and its owner");
  require(file.seconds == entry.modified.seconds && file.nanoseconds == entry.modified.nanoseconds,
          "... and its time");
  require(file.content == node.content, "... and its content");
  require(file.xattrs == kept_xattrs_of(entry), "... and its attributes");
  if (entry.type == Type::symlink) require(file.target == entry.link_target, "... and its target");
  if (file.type == 'c' || file.type == 'b') {
    require(file.device_major == entry.device_major && file.device_minor == entry.device_minor,
            "... and its number");
  }
}

void check(const Built& built, const LayerModel& model) {
  const testing::Ext4Image image("/proc/self/fd/" + std::to_string(built.file.get()));
  image.check();
  auto files = image.files();
  if (!model.names().contains("lost+found")) {
    require(files.erase("lost+found") == 1, "there is a directory for e2fsck");
  }
  require(files.size() == model.names().size(), "each file is there, and no other");
  std::map<const LayerModel::Node*, std::uint32_t> inodes;
  std::map<const LayerModel::Node*, std::uint32_t> links;
  for (const auto& [path, name] : model.names()) {
    const auto file = files.find(path);
    require(file != files.end(), "each path is there");
    check_file(file->second, *name.node);
    const std::uint32_t inode = file->second.inode;
    require(inodes.emplace(name.node.get(), inode).first->second == inode, "hard links share one");
    ++links[name.node.get()];
  }
  for (const auto& [path, name] : model.names()) {
    const testing::Ext4File& file = files.at(path);
    require(file.type == 'd' || file.links == links[name.node.get()], "... that only they have");
  }
}

std::string bytes_of_file(const Fd& file) {
  struct stat status {};
  require(::fstat(file.get(), &status) == 0, "the file is there");
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  pread_all(file.get(), std::as_writable_bytes(std::span(bytes)), 0, "a file system");
  return bytes;
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const std::vector<Line> lines = lines_of_layers(as_text(data, size));
  LayerModel model;
  const Built built = build(lines, {1, 2}, model);
  if (built.is_refused) return 0;
  check(built, model);
  LayerModel again;
  const Built other = build(lines, {3, 4}, again);
  require(bytes_of_file(built.file) == bytes_of_file(other.file), "any key gives the same bytes");
  return 0;
}
