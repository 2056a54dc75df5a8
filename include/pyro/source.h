// The sources of an environment, as the catalog's reader parses them.
//
// Source: OCI distribution specification, "Pulling manifests", for references;
// containers-transports(5) for image layouts. Thread-safety: values; share them as const.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "pyro/digest.h"

namespace pyro {

/// Registry, repository, and a tag or digest; checked, so that no part can leave
/// `/v2/<repository>/`.
class ImageReference {
 public:
  /// Nothing when a part breaks its grammar, or registry and repository together exceed 255
  /// characters. `reference` is a tag, or a digest of SHA-256. All names of Docker Hub become the
  /// host that answers.
  [[nodiscard]] static std::optional<ImageReference> make(std::string_view registry,
                                                          std::string_view repository,
                                                          std::string_view reference);

  /// Parses the text that to_string() returns.
  [[nodiscard]] static std::optional<ImageReference> parse(std::string_view text);

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

/// An image in a registry.
struct RegistrySource {
  ImageReference image;
  std::optional<Digest> pin;  ///< The digest of its manifest or index.
};

/// An image in an OCI image layout or a `docker save` archive on this machine.
struct LayoutSource {
  std::string transport;  ///< "oci", "oci-archive", "docker-archive"; empty: told by the content.
  std::filesystem::path path;
  std::string tag = {};            ///< Empty for the only image.
  std::optional<Digest> pin = {};  ///< The digest of its manifest or index.
};

/// An archive behind an https or http URL.
struct WebSource {
  std::string url;
  std::optional<Digest> sha256;
};

/// An archive, or a directory of artifacts, on this machine. A pull finds out which of them.
struct PathSource {
  std::string name;  ///< As the catalog has it: a path or a file URL.
  std::filesystem::path path;
  std::optional<Digest> sha256;
};

/// The `source_url` of an entry whose archive was read from standard input, and its source in
/// messages and install records.
inline constexpr std::string_view kStandardInputUrl = "-";
inline constexpr std::string_view kStandardInput = "standard input";

/// An archive that was read from standard input when its entry was added. No pull can read it
/// again.
struct StandardInputSource {
  std::optional<Digest> sha256;
};

/// A source that is named by a URL or a path.
using Location = std::variant<WebSource, PathSource, LayoutSource, StandardInputSource>;

}  // namespace pyro
