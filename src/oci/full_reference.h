// An image's name as people write it, in full: HOST[:PORT]/REPOSITORY[:TAG][@DIGEST].
//
// Source: OCI distribution specification, "Pulling manifests"; what is a host and what the first
// part of a repository, by the distribution project's `reference` package.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pyro/digest.h"

namespace pyro {

struct FullReference {
  std::string registry;
  std::string repository;
  std::optional<std::string> tag = {};
  std::optional<Digest> digest = {};

  /// Nothing is completed; "docker.io" and "index.docker.io" become the host that Docker Hub's
  /// registry has.
  /// @throws Error(usage) that says which part is wrong, and what a short name may be short for. No
  /// part is shown that may be a password.
  [[nodiscard]] static FullReference parse(std::string_view text);
};

}  // namespace pyro
