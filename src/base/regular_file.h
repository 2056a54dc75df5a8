// Small files that a user or a setting names: read as a whole, and only if they are files.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace pyro {

struct RegularFile {
  std::string content;
  struct stat status {};
};

/// Through links, and without waiting at a FIFO; nothing where there is no such file.
/// @throws Error(failed) saying why it cannot be read: "it is larger than 1 MiB", and not which it
/// is.
[[nodiscard]] std::optional<RegularFile> read_regular_file(const std::filesystem::path& file,
                                                           std::size_t limit);

/// Judges a file of settings by the status of the descriptor that it is read from.
/// @throws Error(failed), without its name, when judge_file() does not believe it
void require_believed(const struct stat& status);

/// The content of a file of settings that has to be there, and that is to be believed.
/// @throws Error(failed) naming it, behind `context`: "cannot use the certificates in".
[[nodiscard]] std::string read_required_file(const std::filesystem::path& file, std::size_t limit,
                                             const std::string& context);

}  // namespace pyro
