// How much room a file system has left.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "pyro/error.h"

namespace pyro {

/// In bytes, for this process; nothing where the file system does not say.
[[nodiscard]] std::optional<std::uint64_t> free_space(const std::filesystem::path& directory);

/// @throws Error(filesystem) "need at least 6.0 MiB, 2.5 MiB free on /cache: 3.5 MiB missing"
void require_free_space(const std::filesystem::path& directory, std::uint64_t needed);

/// Whether that is what `error` comes from in the end.
[[nodiscard]] bool is_out_of_space(const Error& error);

/// What helps where the cache cannot take what it should: a full disk, one that is read-only. Empty
/// for all else.
[[nodiscard]] std::string cache_hint(const Error& error);

/// What to say of writing to `directory` that ran out of space: `written` bytes are there, and at
/// least `outstanding` are to come. Empty where it was not for want of bytes or files.
[[nodiscard]] std::string explain_lack_of_space(const std::filesystem::path& directory,
                                                std::uint64_t written, std::uint64_t outstanding);

}  // namespace pyro
