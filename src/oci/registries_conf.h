// Files that say where the content of registries is to be had.
//
// Source: containers-registries.conf(5), version 2 of the format. The only file that knows toml++.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pyro {

/// A copy of a registry, or of a part of one.
struct MirrorRule {
  std::string location;  ///< "mirror.example:5000/cache": a host, and maybe the front of a path.
  bool insecure = false;
  /// Which manifest a tag means decides what is run, so a mirror is asked only where the file says
  /// `pull-from-mirror = "all"` or "tag-only". containers take its absence for "all"; containerd
  /// holds it as we do: "resolving a tag is a trust decision".
  bool serves_tags = false;
  bool serves_digests = true;
};

/// What holds for the images whose names begin with a prefix.
struct RegistryRule {
  std::string prefix;    ///< "registry.example/team", or "*.example".
  std::string location;  ///< Takes the prefix's place; empty: nothing does.
  bool insecure = false;
  bool blocked = false;
  std::vector<MirrorRule> mirrors = {};  ///< The first is asked first.
  std::filesystem::path file = {};       ///< Where it stands, for messages.
};

/// The rules of `files`, each of which replaces what those before it have for the same prefix.
/// Docker Hub is "docker.io" in them, by whichever of its names it was called. Short names and
/// aliases mean nothing here: references are always full.
/// `note`, where there is one, is told in a line of helpers that they name and that are not asked.
/// @throws Error(failed) naming file and line, and no other content; for a file of version 1, too:
/// what it blocks would not be blocked.
[[nodiscard]] std::vector<RegistryRule> load_registries(
    const std::vector<std::filesystem::path>& files,
    const std::function<void(std::string_view line)>& note = {});

/// "docker.io" for the names that its registry goes by; else `host` as it is.
[[nodiscard]] std::string canonical_registry(const std::string& host);

}  // namespace pyro
