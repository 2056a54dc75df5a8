// Builds a file system of a few layers, checks it with e2fsck and reads it back.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/fs_verity.h"
#include "image/ext4_writer.h"
#include "image/layers.h"
#include "support/ext4_image.h"
#include "support/process.h"

namespace pyro::image {

/// A member of a layer with its content.
struct Member {
  LayerEntry entry;
  std::string content = {};
};

inline Member file(std::string path, std::string content = "", std::uint32_t mode = 0644) {
  return {{.path = std::move(path), .mode = mode}, std::move(content)};
}
inline Member directory(std::string path, std::uint32_t mode = 0755) {
  return {{.path = std::move(path), .type = LayerEntry::Type::directory, .mode = mode}};
}
inline Member symlink(std::string path, std::string target) {
  return {{.path = std::move(path),
           .type = LayerEntry::Type::symlink,
           .mode = 0777,
           .link_target = std::move(target)}};
}
inline Member hard_link(std::string path, std::string target) {
  return {{.path = std::move(path),
           .type = LayerEntry::Type::hard_link,
           .link_target = std::move(target)}};
}
inline Member device(std::string path, std::uint32_t major, std::uint32_t minor) {
  return {{.path = std::move(path),
           .type = LayerEntry::Type::character_device,
           .mode = 0600,
           .device_major = major,
           .device_minor = minor}};
}
inline Member whiteout(std::string_view path) {
  const std::size_t name = path.rfind('/') + 1;  // 0 where there is no slash
  return file(std::string(path.substr(0, name)) + ".wh." + std::string(path.substr(name)));
}
inline Member opaque(const std::string& path) {
  return file(path + "/.wh..wh..opq");
}

using Files = std::map<std::string, testing::Ext4File>;

class TestImage {
 public:
  explicit TestImage(const SipKey& key = {1, 2})
      : file_(make_memory_file("rootfs.ext4")), writer(file_.get()), layers(writer, key) {}

  /// For other processes, too. The file is in memory: scattered ones are slow to remove from a
  /// disk.
  [[nodiscard]] std::filesystem::path path() const {
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(file_.get());
  }

  void add(const Member& member) {
    if (!layers.add(member.entry)) return;
    writer.data(0, std::as_bytes(std::span(member.content)));
    writer.end(member.content.size());
  }

  void add_layer(const std::vector<Member>& members) {
    layers.begin_layer();
    for (const Member& member : members) add(member);
    layers.end_layer();
  }

  /// Writes the metadata and reads all back.
  Files finish(const FinishOptions& options = {}) {
    const FinishedFileSystem finished = writer.finish(layers.tree(), options);
    size = finished.size;
    EXPECT_EQ(finished.digest, file_verity(file_.get(), size, "the image", {}));
    const auto check =
        testing::run({.argv = {"/sbin/e2fsck", "-fn", path().string()}, .clean_env = true});
    EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
    const testing::Ext4Image image(path());
    image.check();
    EXPECT_EQ(std::filesystem::file_size(path()), image.blocks() * 4096);
    EXPECT_EQ(size, image.blocks() * 4096);
    return image.files();
  }

 private:
  Fd file_;

 public:
  Ext4Writer writer;
  Layers layers;
  std::uint64_t size = 0;
};

/// "usr/" for a directory, "lib -> usr/lib", "a = content", and the letter of any other type before
/// its name: without the root and lost+found.
inline std::vector<std::string> listing(const Files& files) {
  std::vector<std::string> lines;
  for (const auto& [path, file] : files) {
    if (path.empty() || path == "lost+found") continue;
    switch (file.type) {
      case 'd':
        lines.push_back(path + "/");
        break;
      case 'l':
        lines.push_back(path + " -> " + file.target);
        break;
      case '-':
        lines.push_back(path + " = " + file.content);
        break;
      default:
        lines.push_back(std::string(1, file.type) + " " + path);
    }
  }
  return lines;
}

inline Files files_of(const std::vector<std::vector<Member>>& layers) {
  TestImage image;
  for (const auto& layer : layers) image.add_layer(layer);
  return image.finish();
}

/// The error that these layers are refused with; empty when they are not.
inline std::string refusal_of(const std::vector<std::vector<Member>>& layers) {
  try {
    TestImage image;
    for (const auto& layer : layers) image.add_layer(layer);
    static_cast<void>(image.writer.finish(image.layers.tree(), {}));
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::integrity);
    return error.what();
  }
}

}  // namespace pyro::image
