// From what a name means to one manifest: indexes followed to our platform.
//
// Source: spec section 6 "Resolve once"; OCI image specification, image-index.md.
#pragma once

#include <string>
#include <variant>

#include "oci/manifest.h"
#include "pyro/digest.h"
#include "pyro/error.h"

namespace pyro {

/// A manifest or index, verified.
struct Document {
  Digest digest;
  std::variant<Manifest, Index> content;
};

/// What an image's name meant at one moment; everything after is by digest.
struct ResolvedImage {
  Digest digest;           ///< Of the manifest or index that the reference names.
  Digest manifest_digest;  ///< Of the manifest for this platform; the same where there is no index.
  Manifest manifest;
};

/// Where an image's documents come from, verified.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;

  /// The manifest or index that `descriptor` describes.
  [[nodiscard]] virtual Document document(const Descriptor& descriptor) = 0;
  /// The text of an image's config; empty where there is none.
  [[nodiscard]] virtual std::string config(const Descriptor& descriptor) = 0;
};

/// The image for this platform that `top` is or leads to, through one nested index at most. Where
/// no index says which platform a manifest is for, its config does.
/// @throws Error(`no_platform`) "<subject> has no image for linux/amd64: there is only ..."; and
/// what `source` throws
[[nodiscard]] ResolvedImage resolve_platform(Document top, const std::string& subject,
                                             ErrorCode no_platform, DocumentSource& source);

}  // namespace pyro
