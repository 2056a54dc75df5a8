// The name of an image in a registry, checked once.
//
// Source: OCI distribution specification, "Pulling manifests"; the registry part by the grammar of
// the distribution project's `reference` package.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "pyro/digest.h"

namespace pyro {

/// Registry, repository, and a tag or digest; nothing in it can leave `/v2/<repository>/`.
class ImageReference {
 public:
  /// Nothing where one of the parts breaks its grammar, or registry and repository together exceed
  /// 255 characters. `reference` is a tag, or a digest of SHA-256. Docker Hub's registry becomes
  /// the host that answers for it, whichever of its names it is called by.
  [[nodiscard]] static std::optional<ImageReference> make(std::string_view registry,
                                                          std::string_view repository,
                                                          std::string_view reference);

  [[nodiscard]] const std::string& registry() const noexcept { return registry_; }
  [[nodiscard]] const std::string& repository() const noexcept { return repository_; }
  /// Set when the image is named by its digest.
  [[nodiscard]] std::optional<Digest> digest() const;
  /// "1.0.0" or "sha256:...": the last component of the manifest's URL.
  [[nodiscard]] std::string reference() const;

  /// "registry.example/team/env:1.0.0" or "registry.example/team/env@sha256:...".
  [[nodiscard]] std::string to_string() const;

 private:
  using Reference = std::variant<std::string, Digest>;
  ImageReference(std::string_view registry, std::string_view repository, Reference reference)
      : registry_(registry), repository_(repository), reference_(std::move(reference)) {}

  std::string registry_;
  std::string repository_;
  Reference reference_;
};

}  // namespace pyro
