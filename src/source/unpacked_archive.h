// A compressed archive as one that can be read here and there.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string_view>

#include "base/files.h"
#include "pyro/limits.h"

namespace pyro {

/// What unpacking takes.
struct Unpacking {
  std::filesystem::path extractor;  ///< The pyro executable.
  const ExtractionLimits& limits;   ///< An archive may be as large as a root file system.
  std::function<Fd()> make_file;    ///< Empty, for reading and writing; gone when it is closed.
  std::function<void(std::string_view)> note;
  std::stop_token stop;
};

/// `file` itself unless it is compressed: else what it unpacks to, once, by an extractor. `path` is
/// what errors call it.
/// @throws Error(integrity, filesystem, interrupted)
[[nodiscard]] Fd unpack_archive(Fd file, const std::filesystem::path& path,
                                const Unpacking& unpacking);

}  // namespace pyro
