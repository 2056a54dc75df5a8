// The catalog file that pyro keeps for its user: environments that are added and removed by name.
//
// Source: spec section 3 for the format; the OCI distribution specification and the `reference`
// package of the distribution project for references. Thread-safety: values; any number of threads
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

/// Where an environment comes from: the fields of a catalog entry that say so.
struct EnvironmentSource {
  std::optional<std::string> oci_registry = {};
  std::optional<std::string> oci_repository = {};
  std::optional<std::string> oci_reference = {};
  std::optional<Digest> oci_digest = {};
  std::optional<std::string> source_url = {};

  /// What a person means by `text`, told by how it begins:
  ///
  ///   https://  http://  file://    the URL of an archive, its checksum behind it as #sha256=HEX
  ///                                 or not
  ///   /  ./  ../                    a path: of an archive; of a directory with vmlinux and
  ///                                 rootfs.ext4 in it; of a runtime bundle with one profile; of an
  ///                                 OCI image layout with one image, in a directory or a tar; of
  ///                                 what `docker save` writes
  ///   oci:  oci-archive:            DIR[:TAG] or FILE[:TAG]: an OCI image layout as skopeo names
  ///                                 it
  ///   docker-archive:               FILE[:NAME:TAG]: what `docker save` writes
  ///   all else                      HOST[:PORT]/REPOSITORY[:TAG][@DIGEST], perhaps behind oci://
  ///                                 or docker://; without tag and digest the tag is "latest"
  ///
  /// Nothing but that tag is completed: a name without a registry is refused, as each tool
  /// completes it in its own way. "docker.io" is what Docker Hub's registry is called elsewhere.
  /// Paths, also those of file URLs, are looked at, and made absolute; nothing else is asked for.
  /// Of archives that are compressed, only a pull sees what is in them.
  /// @throws Error(usage) for what is none of these; (filesystem) for a path that cannot be looked
  /// at; (integrity) for a directory that holds no environment, a file that is no archive, or a
  /// layout that is damaged; (not_found) where a layout has no such image, or several and no tag
  /// was given.
  [[nodiscard]] static EnvironmentSource parse(std::string_view text);
};

struct NewEnvironment {
  std::string name;
  EnvironmentSource source;
  std::string version = "1.0.0";
  std::string description = {};
  std::optional<Digest> source_sha256 = {};  ///< Of the archive at `source.source_url`.
  /// Also take the place of an entry of this name, or of one that counts less: a built-in one.
  bool replace = false;
};

class UserCatalog {
 public:
  /// `file` need not exist. It should be among the catalog files of whoever looks for environments.
  explicit UserCatalog(std::filesystem::path file) : file_(std::move(file)) {}

  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_; }

  /// Puts an entry into the file, which is made if need be, and returns what the entry says. The
  /// rest of the file stays as it is; on failure all of it does. It is written in one step: at
  /// every moment it holds the old content or the new. One with a login or a query in a URL is
  /// given to nobody else to read.
  ///
  /// `others` is what was loaded, this file among it or not.
  /// @throws Error(usage) for what cannot be in an entry; (failed) for a name that is taken, for
  /// one that a file which counts more gives, for an install directory that is another's, and for a
  /// file that is no catalog; (filesystem); (busy) when somebody else changes it all the time;
  /// (interrupted).
  Environment add(const NewEnvironment& environment, const Catalog& others,
                  const std::stop_token& stop = {}) const;

  /// The same for a whole entry, as it came from somewhere else. Nothing is replaced.
  Environment add_entry(const Environment& environment, const Catalog& others,
                        const std::stop_token& stop = {}) const;

  /// Takes the entry of that name out; false where there is none.
  /// @throws Error, as add() does.
  bool remove(std::string_view name, const std::stop_token& stop = {}) const;

 private:
  std::filesystem::path file_;
};

}  // namespace pyro
