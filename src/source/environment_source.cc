// The source of an environment.
#include "source/environment_source.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "base/files.h"
#include "base/reference.h"
#include "base/text.h"
#include "oci/image_layout.h"
#include "pyro/error.h"
#include "pyro/user_catalog.h"
#include "source/archive_source.h"
#include "source/directory_source.h"
#include "source/fetch.h"
#include "source/image_source.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kLayoutFile = "oci-layout";
/// Of an image in a registry: in install records, and in skopeo and podman.
constexpr std::array<std::string_view, 2> kRegistrySchemes = {"oci://", "docker://"};

bool is_path(std::string_view text) {
  constexpr std::array<std::string_view, 3> kBeginnings = {"/", "./", "../"};
  return text == "." || text == ".." ||
         std::ranges::any_of(kBeginnings, [&](auto front) { return text.starts_with(front); });
}

/// Removes the scheme of a registry from the front of `text`. Whether there was one.
bool consume_registry_scheme(std::string_view& text) {
  for (const std::string_view scheme : kRegistrySchemes) {
    if (!text.starts_with(scheme)) continue;
    text.remove_prefix(scheme.size());
    return true;
  }
  return false;
}

bool is_url(std::string_view text) {
  return text.find("://") != text.npos;
}

std::string absolute(const fs::path& path) {
  std::string text = fs::absolute(path).lexically_normal().string();
  while (text.size() > 1 && text.ends_with('/')) text.pop_back();
  return text;
}

EnvironmentSource in_registry(std::string_view text) {
  FullReference image = FullReference::parse(text);
  EnvironmentSource source{.oci_registry = std::move(image.registry),
                           .oci_repository = std::move(image.repository),
                           .oci_digest = image.digest};
  if (image.tag) {
    source.oci_reference = std::move(image.tag);
  } else {
    source.oci_reference = image.digest ? image.digest->to_string() : "latest";
  }
  return source;
}

/// Checks an archive that exists; another one may be created later.
void require_archive(const std::string& url) {
  const Location location = parse_location(url, {}, {});
  const auto* const local = std::get_if<PathSource>(&location);
  std::error_code none;
  if (local != nullptr && fs::is_regular_file(local->path, none)) {
    static_cast<void>(archive_kind(local->path));
  }
}

EnvironmentSource behind_url(std::string_view url) {
  const auto fragment = fragment_of(url);
  if (fragment && !fragment->starts_with("sha256=")) {
    throw Error(ErrorCode::usage, "what follows the '#' of a URL can only be sha256=HEX",
                "a '#' of the path is written %23");
  }
  require_archive(std::string(url.substr(0, url.find('#'))));
  return {.source_url = std::string(url)};
}

/// Whether a file is compressed, which only a pull unpacks.
bool is_packed(const std::string& path) {
  std::error_code none;
  return fs::is_regular_file(path, none) && archive_kind(path) == ArchiveKind::packed;
}

/// Opens the layout, so that invalid and ambiguous ones are refused now and not by a later pull.
EnvironmentSource in_layout(const LayoutUrl& layout) {
  const std::string scheme = to_lower(layout.scheme) + ":";
  if (layout.path.empty()) {
    throw Error(ErrorCode::usage, "there is no path behind '" + scheme + "'",
                "write oci:DIR, oci-archive:FILE or docker-archive:FILE, and :TAG behind it where "
                "images have names");
  }
  const std::string path = absolute(layout.path);
  const std::string tag(layout.tag);
  if (!is_packed(path)) {
    static_cast<void>(ImageLayout(open_layout(path), path, to_lower(layout.scheme)).resolve(tag));
  }
  return {.source_url = scheme + path + (tag.empty() ? "" : ":" + tag)};
}

/// A layout at `path`, by its content.
EnvironmentSource in_layout(std::string_view scheme, const std::string& path) {
  if (path.find(':') == std::string::npos) return in_layout({scheme, path, {}});
  throw Error(ErrorCode::usage, path + " is an image layout, and what follows a ':' is a tag there",
              "give it a name without one, by a link or by moving it");
}

/// The complete profiles of a runtime bundle.
std::vector<std::string> profiles_in(const fs::path& bundle) {
  std::vector<std::string> profiles;
  std::error_code none;
  for (const fs::directory_entry& entry : fs::directory_iterator(bundle / "profiles", none)) {
    if (holds_artifacts(entry.path())) profiles.push_back(entry.path().filename().string());
  }
  std::ranges::sort(profiles);
  return profiles;
}

[[noreturn]] void refuse_several_profiles(const std::string& directory,
                                          const std::vector<std::string>& profiles) {
  std::string names;
  for (const std::string& profile : profiles) names += (names.empty() ? "" : ", ") + profile;
  throw Error(ErrorCode::usage, directory + " is a runtime bundle of several profiles: " + names,
              "name one of them: " + directory + "/profiles/" + profiles.front());
}

EnvironmentSource in_directory(const std::string& directory) {
  if (::access(directory.c_str(), X_OK) != 0) {
    throw system_error("cannot look into " + directory, errno);
  }
  std::error_code none;
  if (holds_artifacts(directory)) return {.source_url = directory};
  if (fs::is_regular_file(fs::path(directory) / kLayoutFile, none)) {
    return in_layout("oci", directory);
  }
  const auto profiles = profiles_in(directory);
  if (profiles.size() > 1) refuse_several_profiles(directory, profiles);
  if (profiles.size() == 1) return {.source_url = directory + "/profiles/" + profiles.front()};
  throw Error(ErrorCode::integrity, directory + " holds no environment",
              "it needs vmlinux and rootfs.ext4, or to be an OCI image layout");
}

EnvironmentSource in_file(const std::string& path) {
  switch (archive_kind(path)) {
    case ArchiveKind::layout:
      return in_layout(kLayoutArchive, path);
    case ArchiveKind::docker:
      return in_layout(kDockerArchive, path);
    default:
      return {.source_url = path};
  }
}

EnvironmentSource on_disk(std::string_view text) {
  const std::string path = absolute(text);
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::is_directory(status)) return in_directory(path);
  if (fs::is_regular_file(status)) {
    return in_file(path);
  }
  if (error) {
    throw Error(ErrorCode::filesystem, "cannot look at " + path + ": " + error.message());
  }
  throw Error(ErrorCode::filesystem, path + " is neither a file nor a directory");
}

/// Adds a hint if `text` is the name of a file: the user may have left out the "./".
Error with_path_hint(Error error, std::string_view text) {
  std::error_code none;
  const fs::path path(text);
  if (!fs::exists(path, none)) return error;
  return {error.code(), error.what(),
          "for the file or directory of this name, write ./" + path.string()};
}

std::optional<BundledProfile> bundled_profile(const std::optional<fs::path>& runtime_dir,
                                              const Environment& environment) {
  if (environment.kind == EnvironmentKind::container) return std::nullopt;
  auto bundle = RuntimeBundle::of(runtime_dir);
  if (!bundle) return std::nullopt;
  auto directory = bundle->find(environment);
  if (!directory) return std::nullopt;
  return BundledProfile{.bundle = std::move(*bundle), .directory = std::move(*directory)};
}

[[noreturn]] void refuse_unproven(const Environment& environment, const std::string& what) {
  const std::string pinned = environment.oci_digest ? "an image" : "an archive";
  throw Error(ErrorCode::integrity, "the catalog pins " + pinned + ", and " + what,
              "without the pin ('oci_digest', 'source_sha256') the entry can be installed from it");
}

/// Whether only the archive is pinned. An image proves the pin of an image only.
bool pins_archive_only(const Environment& environment) {
  return environment.source_sha256 && !environment.oci_digest;
}

ChosenSource choose(const Environment& environment, const PathSource& local) {
  std::error_code none;
  if (!fs::is_directory(local.path, none)) return local;
  if (environment.kind == EnvironmentKind::container) {
    throw Error(ErrorCode::failed, local.path.string() + " is a directory, and no image layout",
                "a root file system comes as a tar: tar -C " + local.path.string() +
                    " -cf FILE . makes one");
  }
  if (is_pinned(environment)) refuse_unproven(environment, local.path.string() + " is a directory");
  return ArtifactDirectory{local.path};
}

std::optional<ChosenSource> source_at(const Environment& environment, const Location& location) {
  if (std::holds_alternative<StandardInputSource>(location)) return std::nullopt;
  if (const auto* const layout = std::get_if<LayoutSource>(&location)) return LayoutImage{*layout};
  const auto* const local = std::get_if<PathSource>(&location);
  ChosenSource chosen =
      local != nullptr ? choose(environment, *local) : ChosenSource(std::get<WebSource>(location));
  if (environment.oci_digest && !environment.source_sha256) {
    refuse_unproven(environment, "'source_url' names an archive");
  }
  return chosen;
}

}  // namespace

EnvironmentSource EnvironmentSource::parse(std::string_view text) {
  if (text == kStandardInputUrl) return {.source_url = std::string(text)};
  if (consume_registry_scheme(text)) return in_registry(text);
  if (is_path(text)) return on_disk(text);
  if (is_url(text)) return behind_url(text);
  if (const auto layout = split_layout_url(text)) return in_layout(*layout);
  try {
    return in_registry(text);
  } catch (const Error& error) {
    throw with_path_hint(error, text);
  }
}

bool is_pinned(const Environment& environment) {
  return environment.source_sha256 || environment.oci_digest;
}

std::optional<ChosenSource> choose_source(const std::optional<fs::path>& runtime_dir,
                                          const Environment& environment,
                                          ProgressListener& progress) {
  if (auto profile = bundled_profile(runtime_dir, environment)) {
    if (!is_pinned(environment)) return std::move(*profile);
    progress.warning("the runtime bundle " + runtime_dir->string() +
                     " is passed over: it cannot prove that it holds what the catalog pins");
  }
  if (environment.registry && !pins_archive_only(environment)) return *environment.registry;
  if (environment.location) return source_at(environment, *environment.location);
  return std::nullopt;
}

}  // namespace pyro
