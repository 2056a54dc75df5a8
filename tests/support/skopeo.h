// Pushes images into real registries with skopeo.
#pragma once

#include <filesystem>
#include <string>

#include "support/images.h"
#include "support/process.h"

namespace pyro::testing {

struct SkopeoOptions {
  std::string format = {};  ///< "oci" or "v2s2"; empty: as the source.
  /// "gzip" or "zstd": recompresses the layers, except those that the repository already holds.
  std::string compression = {};
  std::string user = {};
  std::string password = {};
  std::filesystem::path certificate_dir = {};  ///< Empty: TLS is not verified.
  bool all = false;                            ///< Every image of an index, and the index.
};

/// Copies DIR:TAG of an OCI layout to "HOST:PORT/NAME:TAG" and returns the digest that it has
/// there. Throws std::runtime_error with skopeo's words.
std::string push_layout(const std::filesystem::path& layout, const std::string& tag,
                        const std::string& destination, const SkopeoOptions& options = {});

/// The same for an image in memory.
std::string push_image(const Image& image, const std::string& destination,
                       const SkopeoOptions& options = {});

/// `skopeo copy` from one place to another, each with its transport: "docker://HOST/NAME:TAG",
/// "oci:DIR:TAG", "oci-archive:FILE:TAG". Throws as the former do.
void skopeo_copy(const std::string& source, const std::string& destination,
                 const SkopeoOptions& options = {});

/// `skopeo inspect` of an image in a registry, or of one whose transport is named: the result as it
/// is.
ProcessResult skopeo_inspect(const std::string& source, bool raw,
                             const SkopeoOptions& options = {});

}  // namespace pyro::testing
