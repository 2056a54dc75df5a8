// An environment that lies unpacked in a directory.
#include "source/artifact_directory.h"

#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "base/file_verity.h"
#include "base/files.h"
#include "base/mib.h"
#include "pyro/error.h"
#include "source/copy_file.h"
#include "source/source_path.h"
#include "stream/artifact_content.h"
#include "stream/layer_reader.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

std::uint64_t size_of(int file, const std::string& subject) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error("cannot look at " + subject, errno);
  return static_cast<std::uint64_t>(status.st_size);
}

void check_size(const fs::path& artifact, std::size_t kind, const ExtractionLimits& limits) {
  const std::uint64_t size = fs::file_size(artifact);
  const std::uint64_t limit = limit_of(limits, kind);
  if (size <= limit) return;
  throw Error(ErrorCode::integrity,
              artifact.string() + " is " + mib(size) + "; the limit is " + mib(limit));
}

}  // namespace

bool is_file(const fs::path& path) {
  std::error_code none;
  return fs::is_regular_file(path, none);
}

bool holds_artifacts(const fs::path& directory) {
  for (const ArtifactKind& kind : kArtifactKinds) {
    if (kind.required && !is_file(directory / kind.name)) return false;
  }
  return true;
}

std::optional<fs::path> source_directory(const Environment& environment) {
  if (!environment.source_url) return std::nullopt;
  const auto path = source_path(*environment.source_url);
  std::error_code none;
  if (!path || !fs::is_directory(*path, none)) return std::nullopt;
  return *path;
}

std::vector<WrittenArtifact> copy_artifacts(const fs::path& directory, int staging,
                                            const fs::path& room, const ExtractionLimits& limits,
                                            const std::stop_token& stop) {
  std::vector<WrittenArtifact> artifacts;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    const std::string name(kArtifactKinds[kind].name);
    if (is_file(directory / name)) {
      check_size(directory / name, kind, limits);
      const Fd copy = copy_file(directory / name, staging, name, room, stop);
      require_artifact_content(copy.get(), kind);
      const std::uint64_t size = size_of(copy.get(), name);
      artifacts.push_back({.kind = kind,
                           .file = kind,
                           .size = size,
                           .digest = file_verity(copy.get(), size, name, stop)});
    } else if (kArtifactKinds[kind].required) {
      throw Error(ErrorCode::integrity, "the directory " + directory.string() + " has no " + name);
    }
  }
  return artifacts;
}

}  // namespace pyro
