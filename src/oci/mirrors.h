// Mirrors: which hosts have an image, under which names, in which order.
//
// Source: containers-registries.conf(5), version 2 of the format, "Remapping and mirroring
// registries".
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/reference.h"

namespace pyro {

/// A copy of a registry, or of a part of one.
struct MirrorRule {
  std::string
      location;  ///< "mirror.example:5000/cache": a host, with or without the front of a path.
  bool insecure = false;
  /// Resolving a tag chooses the image, so a mirror must be trusted with it explicitly, by
  /// `pull-from-mirror = "all"` or "tag-only". containers default to "all"; containerd does as we
  /// do: "resolving a tag is a trust decision".
  bool serves_tags = false;
  bool serves_digests = true;
};

/// The settings for images whose names begin with a prefix.
struct RegistryRule {
  std::string prefix;    ///< "registry.example/team", or "*.example".
  std::string location;  ///< Replaces the prefix; empty to keep it.
  bool insecure = false;
  bool blocked = false;
  std::vector<MirrorRule> mirrors = {};  ///< In the order in which they are asked.
  std::filesystem::path file = {};       ///< The file of this rule, for messages.
};

/// The rules of `files`. A file replaces the rules of earlier ones for the same prefix. All names
/// of Docker Hub become "docker.io". Short names and aliases are ignored: references are always
/// full. `note`, unless empty, is given a line about credential helpers in the files, which are not
/// used.
/// @throws Error(failed) naming file and line, without other content; also for a file of version 1,
/// whose blocked registries would not be blocked.
[[nodiscard]] std::vector<RegistryRule> load_registries(
    const std::vector<std::filesystem::path>& files,
    const std::function<void(std::string_view line)>& note = {});

/// "docker.io" for all names of Docker Hub; else `host`.
[[nodiscard]] std::string canonical_registry(const std::string& host);

/// A host that has an image, or may have it.
struct Endpoint {
  ImageReference image;  ///< Its name on that host.
  bool insecure = false;
  bool is_mirror = false;
  bool serves_tags = true;
  bool serves_digests = true;
  /// The registry that is mirrored, for mirrors of several: containerd's parameter `ns`.
  std::string upstream = {};
};

/// The rule with the longest prefix of `name`, a registry or an image in it; null without one.
/// @throws Error(network) when it blocks the registry.
[[nodiscard]] const RegistryRule* find_rule(std::string_view name,
                                            const std::vector<RegistryRule>& rules);

/// The mirrors of `image` in their order, and last its registry.
/// @throws Error(network) when its registry is blocked; (failed) when a rule makes an invalid name
/// of it.
[[nodiscard]] std::vector<Endpoint> endpoints_of(const ImageReference& image,
                                                 const std::vector<RegistryRule>& rules);

}  // namespace pyro
