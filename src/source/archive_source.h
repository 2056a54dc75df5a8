// An environment from one archive: over https, or a file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>

#include "base/files.h"
#include "pyro/container_config.h"
#include "pyro/digest.h"
#include "pyro/limits.h"
#include "pyro/progress.h"
#include "pyro/source.h"
#include "sandbox/sandboxed_extractor.h"
#include "source/fetch.h"

namespace pyro {

/// A descriptor that can be read once, such as a pipe.
struct OpenStream {
  int descriptor = -1;
  std::optional<Digest> sha256 = {};  ///< The pinned digest of what comes out of it.
  /// Of a container whose root file system it is.
  std::optional<ContainerConfig> config = {};
};

/// Streams an archive into `extraction`. Returning means that it has the pinned digest, if one is
/// pinned.
/// @throws Error
[[nodiscard]] Provenance fetch_from_archive(const WebSource& source, const FetchContext& context,
                                            SandboxedExtractor& extraction);
[[nodiscard]] Provenance fetch_from_archive(const PathSource& source, const FetchContext& context,
                                            SandboxedExtractor& extraction);
[[nodiscard]] Provenance fetch_from_archive(const OpenStream& source, const FetchContext& context,
                                            SandboxedExtractor& extraction);

/// The content of a file that is named as a source.
enum class ArchiveKind : std::uint8_t {
  artifacts,  ///< A tar of any content.
  layout,     ///< A tar with an OCI image layout in it.
  docker,     ///< A tar as `docker save` writes it.
  packed,     ///< Compressed: its content is known only to a pull, which unpacks it.
};

/// By the first bytes and, for a tar that is not compressed, by the names in it.
/// @throws Error(integrity) for a file that is no archive, with its kind and a hint; (filesystem)
[[nodiscard]] ArchiveKind archive_kind(const std::filesystem::path& path);

/// The means to unpack an archive.
struct Unpacking {
  std::filesystem::path extractor;  ///< The pyro executable.
  const ExtractionLimits& limits;   ///< An archive may be as large as a root file system.
  std::function<Fd()> make_file;    ///< Empty, for reading and writing; gone when it is closed.
  ProgressListener& progress;
  std::stop_token stop;
};

/// A file with all that comes out of `stream`.
/// @throws Error(integrity) for an empty one; (filesystem, interrupted)
[[nodiscard]] Fd keep_stream(int stream, const Unpacking& unpacking);

/// `file` itself unless it is compressed; else the unpacked content, from an extractor of its own.
/// `path` is its name in errors.
/// @throws Error(integrity, filesystem, interrupted)
[[nodiscard]] Fd unpack_archive(Fd file, const std::filesystem::path& path,
                                const Unpacking& unpacking);

}  // namespace pyro
