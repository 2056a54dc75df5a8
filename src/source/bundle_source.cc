// An environment out of a runtime bundle on disk.
#include "source/bundle_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "base/strict_json.h"
#include "base/whole_calls.h"
#include "pyro/error.h"
#include "source/artifact_directory.h"
#include "source/copy_file.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kLargestManifest = std::size_t{4} << 20;

nlohmann::json read_manifest(const fs::path& runtime_dir) {
  const Fd directory(try_open(AT_FDCWD, runtime_dir.c_str(), O_RDONLY | O_DIRECTORY));
  if (!directory) return {};
  const auto text = read_small_file_at(directory.get(), "manifest.json", kLargestManifest);
  return parse_strict_json_or_null(text.value_or(""));
}

// The value at a path of keys, or null.
const nlohmann::json* at_path(const nlohmann::json& object,
                              std::initializer_list<const char*> keys) {
  const nlohmann::json* value = &object;
  for (const char* key : keys) {
    if (!value->is_object() || !value->contains(key)) return nullptr;
    value = &value->at(key);
  }
  return value;
}

void require_platform(const nlohmann::json& manifest, const fs::path& directory) {
  const nlohmann::json* platform = at_path(manifest, {"platform"});
  if (platform == nullptr || !platform->is_string() || *platform == kPlatform) return;
  throw Error(ErrorCode::failed, "the runtime bundle " + directory.string() +
                                     " is for the platform '" + platform->get<std::string>() +
                                     "', not " + std::string(kPlatform));
}

fs::path real_path(const fs::path& path) {
  std::error_code error;
  fs::path real = fs::canonical(path, error);
  if (error) throw system_error("cannot resolve " + path.string(), error.value());
  return real;
}

// Links are read from where the directory really is, so that is where they must count from.
fs::path link_target(const fs::path& artifact, const fs::path& install_dir) {
  const fs::path real_dir = real_path(install_dir.parent_path()) / install_dir.filename();
  return real_path(artifact).lexically_relative(real_dir);
}

}  // namespace

RuntimeBundle::RuntimeBundle(fs::path directory) : directory_(std::move(directory)) {
  const nlohmann::json manifest = read_manifest(directory_);
  require_platform(manifest, directory_);
  const nlohmann::json* profiles = at_path(manifest, {"profiles"});
  if (profiles == nullptr || !profiles->is_object()) return;
  for (const auto& [profile, content] : profiles->items()) {
    const nlohmann::json* digest = at_path(content, {"rootfs", "sha256"});
    if (digest != nullptr && digest->is_string()) {
      digests_[profile] = digest->get<std::string>();
    }
  }
}

std::optional<RuntimeBundle> RuntimeBundle::of(const std::optional<fs::path>& directory) {
  if (!directory) return std::nullopt;
  return RuntimeBundle(*directory);
}

std::optional<std::string> RuntimeBundle::digest_of(const Environment& environment) const {
  const auto found = digests_.find(environment.source_profile);
  return found == digests_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<fs::path> RuntimeBundle::find(const Environment& environment) const {
  const fs::path profile = directory_ / "profiles" / environment.source_profile;
  for (const ArtifactKind& kind : kArtifactKinds) {
    if (kind.required && !is_file(profile / kind.name)) return std::nullopt;
  }
  return profile;
}

void install_from_bundle(const fs::path& profile, int staging, const fs::path& install_dir) {
  for (const ArtifactKind& kind : kArtifactKinds) {
    const fs::path artifact = profile / kind.name;
    if (!is_file(artifact)) continue;
    const std::string name(kind.name);
    const std::string target = link_target(artifact, install_dir).string();
    if (::symlinkat(target.c_str(), staging, name.c_str()) != 0) {
      copy_file(artifact, staging, name, install_dir.parent_path());
    }
  }
}

}  // namespace pyro
