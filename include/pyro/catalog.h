// The environments that can be installed: the built-in ones and those of catalog files.
//
// docs/formats.md describes catalog files. Thread-safety: values; share them as const.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/digest.h"
#include "pyro/source.h"

namespace pyro {

/// The catalog version of this release; the `compatibility` of an entry is a range of such
/// versions.
inline constexpr std::string_view kCatalogVersion = "4.5.0";

/// The only supported platform. Also the name of the directory of installs in a cache.
inline constexpr std::string_view kPlatform = "linux-x86_64";

/// What an entry installs.
enum class EnvironmentKind {
  environment,  ///< A kernel and a root file system.
  container,    ///< A root file system, made of a container image. Its kernel is another's.
};

/// One entry of the catalog: a named, versioned, bootable Linux and its source.
///
/// All strings are validated when an entry is read: `name`, `version` and `source_profile` are
/// single path components, the `oci_*` fields follow the distribution specification's grammar. An
/// Environment that a program makes itself is not validated.
struct Environment {
  std::string name;     ///< "debian:12"
  std::string version;  ///< "1.0.0"
  std::string description;
  EnvironmentKind kind = EnvironmentKind::environment;
  /// Of a container: the environment whose kernel it boots, unless told otherwise.
  std::optional<std::string> base = {};
  std::vector<std::string> default_packages;  ///< Informational.
  std::string distribution;                   ///< "debian"
  std::string distribution_version;           ///< "12"
  std::string source_profile;                 ///< Directory in a runtime bundle: "debian-git".
  std::string platform{kPlatform};
  /// A URL of https, http or file, an absolute path, oci:DIR, oci-archive:FILE,
  /// docker-archive:FILE, or "-": it was read from standard input.
  std::optional<std::string> source_url;
  std::optional<std::string> oci_registry;    ///< "registry.example:5000"
  std::optional<std::string> oci_repository;  ///< "team/environment"
  std::optional<std::string> oci_reference;   ///< Tag or digest.
  /// Informational, shown by inspect; a runtime bundle's manifest overrides it.
  std::optional<std::string> source_digest;
  /// A range of catalog versions: comparisons separated by commas.
  std::string compatibility = ">=4.5.0,<5.0.0";

  std::optional<Digest> oci_digest;     ///< Pin: the digest that the reference must resolve to.
  std::optional<Digest> source_sha256;  ///< Pin: the digest of the archive at `source_url`.

  /// The image that the `oci_*` fields name; nothing when one of them is missing.
  std::optional<RegistrySource> registry;
  /// `source_url`, parsed. A registry takes precedence.
  std::optional<Location> location;

  /// The catalog file of the entry, as an absolute path; nothing for a built-in one.
  std::optional<std::filesystem::path> catalog_file;

  /// Whether kCatalogVersion is in the range of `compatibility`.
  [[nodiscard]] bool compatible() const;
};

/// The name of the entry for an image that has no other, "docker.io/library/python:3.12": the
/// registry, the repository, and the digest or else the tag of `reference`. A reference without
/// either means the tag "latest", and Docker Hub's own repositories may be named without
/// "library/".
/// @throws Error(usage) for anything that is no reference in full
[[nodiscard]] std::string image_name(std::string_view reference);

/// An immutable set of environments with unique names.
class Catalog {
 public:
  /// The three environments that are compiled in.
  [[nodiscard]] static Catalog built_in();

  /// The built-in catalog and the entries of `files`, in their order; a later entry of a name
  /// replaces an earlier one.
  /// @throws Error(failed) naming file, entry and field; (filesystem) when a file cannot be read.
  [[nodiscard]] static Catalog load(std::span<const std::filesystem::path> files);

  /// All entries, sorted by name.
  [[nodiscard]] const std::vector<Environment>& environments() const noexcept {
    return environments_;
  }

  /// The environment called `name`, or null. The pointer is valid as long as the catalog.
  [[nodiscard]] const Environment* find(std::string_view name) const noexcept;

  /// The environment called `name`.
  /// @throws Error(not_found) listing the known names, with a did-you-mean as hint.
  [[nodiscard]] const Environment& require(std::string_view name) const;

  /// The files that were loaded, in order, as absolute paths.
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const noexcept { return files_; }

 private:
  friend class CatalogBuilder;
  std::vector<Environment> environments_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace pyro
