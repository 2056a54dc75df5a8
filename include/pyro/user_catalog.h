// The user's catalog file: environments that are added and removed by name.
//
// docs/formats.md describes the file. Source for references: the OCI distribution specification and
// the `reference` package of the distribution project. Thread-safety: values; any number of threads
// and processes may change one file at the same time.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "pyro/catalog.h"
#include "pyro/digest.h"
#include "pyro/error.h"

namespace pyro {

/// The source of an environment, as fields of a catalog entry.
struct EnvironmentSource {
  std::optional<std::string> oci_registry = {};
  std::optional<std::string> oci_repository = {};
  std::optional<std::string> oci_reference = {};
  std::optional<Digest> oci_digest = {};
  std::optional<std::string> source_url = {};

  /// Parses what a user types. The beginning of `text` decides:
  ///
  ///   https://  http://  file://    the URL of an archive, optionally with its checksum as
  ///                                 #sha256=HEX
  ///   /  ./  ../                    a path: of an archive; of a directory with vmlinux and
  ///                                 rootfs.ext4 in it; of a runtime bundle with one profile; of an
  ///                                 OCI image layout with one image, in a directory or a tar; of
  ///                                 what `docker save` writes
  ///   oci:  oci-archive:            DIR[:TAG] or FILE[:TAG]: an OCI image layout as skopeo names
  ///                                 it
  ///   docker-archive:               FILE[:NAME:TAG]: what `docker save` writes
  ///   -                             standard input: for EnvironmentStore::add_from()
  ///   otherwise                     HOST[:PORT]/REPOSITORY[:TAG][@DIGEST], optionally behind
  ///                                 oci:// or docker://; without tag and digest the tag is
  ///                                 "latest"
  ///
  /// Only the tag has a default: a name without a registry is refused, as tools differ in how they
  /// complete it. "docker.io" means Docker Hub's registry. Paths, also those of file URLs, are
  /// examined and made absolute; no network is used. The content of compressed archives is only
  /// checked by a pull.
  /// @throws Error(usage) for any other text; (filesystem) for a path that cannot be examined;
  /// (integrity) for a directory without an environment, a file that is no archive, or a damaged
  /// layout; (not_found) for a layout without such an image, or with several and no tag given.
  [[nodiscard]] static EnvironmentSource parse(std::string_view text);
};

/// An entry to add.
struct NewEnvironment {
  std::string name;
  EnvironmentSource source;
  std::string version = "1.0.0";
  std::string description = {};
  EnvironmentKind kind = EnvironmentKind::environment;
  /// Of a container: the environment whose kernel it boots.
  std::optional<std::string> base = {};
  /// The checksum of the archive at `source.source_url`.
  std::optional<Digest> source_sha256 = {};
  /// Replace an entry of this name, or hide one of lower precedence: a built-in one.
  bool replace = false;
};

/// The catalog file of a user.
class UserCatalog {
 public:
  /// `file` need not exist. It takes effect in catalogs that load it.
  explicit UserCatalog(std::filesystem::path file) : file_(std::move(file)) {}

  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

  /// Adds an entry to the file, which is created if needed, and returns the entry. Other content of
  /// the file is preserved. The file is replaced atomically; on failure it is unchanged. A file
  /// with a login or a query in a URL is readable by its owner alone.
  ///
  /// `others` is the loaded catalog, with or without this file.
  /// @throws Error(usage) for invalid fields; (failed) for a name that is taken, also in a file of
  /// higher precedence, for the install directory of another environment, and for a file that is no
  /// catalog; (filesystem); (busy) when other processes keep changing the file; (interrupted).
  Environment add(const NewEnvironment& environment, const Catalog& others,
                  const std::stop_token& stop = {}) const;

  /// The entry that add() would add. Adds nothing, but fails where add() would.
  /// @throws Error as add() does.
  [[nodiscard]] Environment check(const NewEnvironment& environment, const Catalog& others,
                                  const std::stop_token& stop = {}) const;

  /// The same as add() for a complete entry. An entry of this name is an Error(failed) unless
  /// `replace` is set, as in NewEnvironment.
  Environment add_entry(const Environment& environment, const Catalog& others,
                        const std::stop_token& stop = {}, bool replace = false) const;

  /// Checks that add_entry() could put an entry of that name in the place of others.
  /// @throws Error(usage) for a name that is none; (failed) when a file of higher precedence has it
  void require_replaceable(const std::string& name, const Catalog& others) const;

  /// Removes the entry of that name; returns false where there is none.
  /// @throws Error as add() does.
  bool remove(std::string_view name, const std::stop_token& stop = {}) const;

 private:
  std::filesystem::path file_;
};

}  // namespace pyro
