// Writes a tree that a guest sends, and nothing outside of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/destination.h"
#include "base/files.h"
#include "guest/protocol.h"
#include "vm/received_file.h"

namespace pyro {

/// The guest's names are untrusted. Each is looked up from the tree's own directory, part by part,
/// without following a link; links are made only if they stay within the tree; set-user-id bits
/// and owners are not taken over, and the umask counts. A file or link in the place of another is
/// replaced, a file when the new one is whole; nothing else is. What was there keeps its mode, and
/// a directory its time.
class TreeReceiver {
 public:
  using Note = std::function<void(std::string_view)>;

  /// `to` as with cp(1): an existing directory, or a name that ends with '/', is copied into, under
  /// the name `name`, or as the content of that directory without one. A symbolic link is followed
  /// there, and a file is written into a device or pipe.
  TreeReceiver(const std::string& to, const std::string& name, Note note);

  /// @throws Error(failed) for what no honest guest sends; Error(filesystem).
  void entry(std::string_view payload);
  void data(std::string_view bytes);
  void finish();

 private:
  struct Place {
    Fd directory;
    std::string name;
  };
  /// That things are made in, and that was made for the copy itself.
  struct OpenDirectory {
    std::string path;
    guest::EntryPayload entry;
    bool made;
  };

  [[nodiscard]] Place place_of(const std::string& path);
  [[nodiscard]] std::string shown(const std::string& path) const;
  void make_directory(const std::string& path, const guest::EntryPayload& entry);
  void make_file(const std::string& path, const guest::EntryPayload& entry);
  void make_link(const std::string& path, const std::string& target);
  static void remove_link_or_file(const Place& place);
  void finish_file();
  void finish_directory(const OpenDirectory& directory);
  void leave_directories(const std::string& path);

  Note note_;
  Destination destination_;
  Fd parent_;         ///< That the tree is made in.
  std::string name_;  ///< What it is called there.
  std::string path_;  ///< Both, for messages.
  Fd root_;           ///< Of a tree that is a directory.
  std::optional<ReceivedFile> file_;
  guest::EntryPayload file_entry_;
  std::vector<OpenDirectory> directories_;  ///< Each in the former.
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace pyro
