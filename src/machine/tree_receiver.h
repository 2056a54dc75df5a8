// Writes a tree that a guest sends, and nothing outside of it.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/files.h"
#include "base/output_file.h"
#include "guest/protocol.h"
#include "stream/hole_finder.h"

namespace pyro {

/// A file of a copy: a new one that gets its name in commit(), or a stream. Blocks of zeros become
/// holes.
class ReceivedFile : private DataSink {
 public:
  /// A new file, as NewFile says; one that it replaces keeps its permissions.
  ReceivedFile(Fd directory, std::string name, mode_t mode, std::string shown);
  /// A device or a pipe, written to as data arrives.
  ReceivedFile(Fd stream, std::string shown);
  ReceivedFile(const ReceivedFile&) = delete;
  ReceivedFile& operator=(const ReceivedFile&) = delete;

  void write(std::string_view bytes);
  /// Zeros, at most kMaxHole.
  void write_hole(std::uint64_t size);

  void commit(const timespec& modified);

 private:
  void data(std::uint64_t offset, std::span<const std::byte> bytes, Lifetime lifetime) override;

  std::string shown_;
  Fd stream_;
  std::optional<NewFile> file_;
  HoleFinder holes_;
};

/// What becomes of the entries of a tree that is received. Paths are below it; that of its root is
/// empty. Not asked for a device or a pipe.
class TreeRules {
 public:
  virtual ~TreeRules() = default;

  /// Before anything is written. `root`: the place of the tree.
  virtual void begin(const std::filesystem::path& root) = 0;
  /// Of a directory: otherwise nothing in it is written.
  [[nodiscard]] virtual bool wants(const std::string& path, guest::EntryKind kind) = 0;
  /// A file or a link has its name.
  virtual void note_written(const std::string& path) = 0;
};

/// The guest's names are untrusted. Each is looked up from the root of the tree without following
/// links, and links are made only if they stay within the tree. Set-user-id bits and owners are not
/// copied, and the umask applies. Files and links replace files and links, and nothing else; a file
/// does so when it is complete. Existing entries keep their mode, and directories their time.
class TreeReceiver {
 public:
  using Note = std::function<void(std::string_view)>;

  /// `to` as with cp(1): an existing directory, or a name that ends with '/', gets the copy as
  /// `name`, or its content if `name` is empty. A symbolic link is followed, and a device or pipe
  /// written to.
  enum class Links {
    within,  ///< Those that lead out of the tree are left out, with a note.
    all,     ///< Also those that lead out of the tree: for private directories.
  };
  /// `rules` may be null.
  TreeReceiver(const std::string& to, const std::string& name, Note note,
               Links links = Links::within, TreeRules* rules = nullptr);

  /// @throws Error(failed) for an invalid tree; Error(filesystem).
  void entry(std::string_view payload);
  void data(std::string_view bytes);
  void hole(std::string_view payload);
  void finish();

 private:
  struct Place {
    Fd directory;
    std::string name;
  };
  /// A directory that is being filled.
  struct OpenDirectory {
    std::string path;
    guest::EntryPayload entry;
    bool made;
  };

  [[nodiscard]] Place place_of(const std::string& path);
  [[nodiscard]] bool is_wanted(const std::string& path, guest::EntryKind kind);
  void note_written(const std::string& path);
  [[nodiscard]] std::string shown(const std::string& path) const;
  void make_directory(const std::string& path, const guest::EntryPayload& entry);
  void make_file(const std::string& path, const guest::EntryPayload& entry);
  void make_link(const std::string& path, const std::string& target);
  static void remove_link_or_file(const Place& place);
  void require_file_for(std::uint64_t bytes);
  void finish_file();
  void finish_directory(const OpenDirectory& directory);
  void leave_directories(const std::string& path);

  Note note_;
  const Links links_;
  TreeRules* rules_;
  Destination destination_;
  Fd parent_;         ///< Of the tree.
  std::string name_;  ///< Of the tree in `parent_`.
  std::string path_;  ///< Both, for messages.
  Fd root_;           ///< Open when the tree is a directory.
  std::optional<ReceivedFile> file_;
  std::string file_path_;
  guest::EntryPayload file_entry_;
  bool drops_data_ = false;                 ///< Of a file that is not wanted.
  std::optional<std::string> unwanted_;     ///< A directory that is not wanted.
  std::vector<OpenDirectory> directories_;  ///< Each in the one before.
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace pyro
