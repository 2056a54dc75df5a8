// A system call that changes a file system, read from a stopped process.
#pragma once

#include <sys/ptrace.h>
#include <sys/types.h>

#include <compare>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace pyro::testing {

/// The effect of a call on the file system, as far as durability is concerned.
enum class Effect {
  open,            ///< For writing; may make the file, or empty it.
  content,         ///< Bytes or length of a file.
  attributes,      ///< Mode, owner, times.
  sync,            ///< Durable on return.
  write_back,      ///< Begins it, and promises nothing.
  rename,          ///< Of `path` to `to`.
  remove,          ///< Of a name.
  make_directory,  ///< A new name.
  make_link,       ///< A new name.
};

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;
  auto operator<=>(const FileId&) const = default;
};

struct SystemCall {
  std::string name = {};
  Effect effect = Effect::content;
  /// Where the file was when the call began.
  std::filesystem::path path = {};
  std::filesystem::path to = {};
  /// Nothing where there is none, or none yet.
  std::optional<FileId> file = {};
  /// Nothing while it has not returned.
  std::optional<long> result = {};
  /// Positions in one order of all beginnings and ends.
  std::size_t begin = 0;
  std::size_t end = 0;

  bool succeeded() const { return result && *result >= 0; }
  std::string describe() const;
};

/// The call that `thread` has begun; nothing unless it is one that changes a file system.
std::optional<SystemCall> decode(pid_t thread, const __ptrace_syscall_info& info);

/// The file of a descriptor of `thread`.
std::optional<FileId> file_of_descriptor(pid_t thread, int descriptor);

/// Whether `path` is `folder` or below it.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace pyro::testing
