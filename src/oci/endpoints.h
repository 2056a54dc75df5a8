// Where an image is to be had: which hosts, under which names, and in which order.
//
// Source: containers-registries.conf(5), "Remapping and mirroring registries".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "oci/reference.h"
#include "oci/registries_conf.h"

namespace pyro {

/// A host that has an image, or may have it.
struct Endpoint {
  ImageReference image;  ///< As it is called there.
  bool insecure = false;
  bool is_mirror = false;
  bool serves_tags = true;
  bool serves_digests = true;
  /// A mirror of several registries is told which one is meant: containerd's parameter `ns`.
  std::string upstream = {};
};

/// The rule for `name`, a registry or an image in it: the one with the longest prefix, alone. Null
/// where there is none.
/// @throws Error(network) when it is blocked.
[[nodiscard]] const RegistryRule* find_rule(std::string_view name,
                                            const std::vector<RegistryRule>& rules);

/// The mirrors of `image` in their order, and last the place it belongs to, by
/// its rule.
/// @throws Error(network) when its registry is blocked; (failed) when a rule makes a name of it
/// that none is.
[[nodiscard]] std::vector<Endpoint> endpoints_of(const ImageReference& image,
                                                 const std::vector<RegistryRule>& rules);

}  // namespace pyro
