// One image in one registry: which manifest its name means, and the bytes of its layers.
//
// Source: spec section 6; OCI distribution specification, "Pull".
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "net/http.h"
#include "net/retry.h"
#include "oci/hosts.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "oci/resolve.h"
#include "pyro/digest.h"
#include "pyro/network_options.h"

namespace pyro {

/// What a registry says, without being held to it, that an image's name means.
struct NamedImage {
  Digest digest;          ///< Of the manifest or index.
  bool is_index = false;  ///< So that the digest is of more than the image for this platform.
};

/// Bytes of a blob that are there from an earlier time.
struct Replay {
  std::uint64_t begin = 0;  ///< Where in the blob they lie.
  std::function<void(const BodySink&)> run = {};
};

/// Finds out by itself how the registry wants to be talked to: the scheme at the first request, a
/// token or password when asked for one; and asks its mirrors first, where there are any. Not
/// thread-safe.
class RegistryClient {
 public:
  /// `http` must outlive the client. Nothing is sent before a function is called.
  /// @throws Error(network) for a registry that is blocked; (failed) for a registries.conf that
  /// cannot be used.
  RegistryClient(HttpClient& http, ImageReference image, const NetworkOptions& options,
                 const RetryOptions& retry = {}, const HostWatch& watch = {});
  ~RegistryClient();
  RegistryClient(RegistryClient&&) noexcept;
  RegistryClient& operator=(RegistryClient&&) noexcept;

  /// Where a pin is given, it is what is requested, and never the tag.
  /// @throws Error(network): no such image, no image for this platform, refused credentials, no
  /// registry there; (integrity): bytes that do not have the digest or the form they must have;
  /// (failed): a credentials file or helper that cannot be used.
  [[nodiscard]] ResolvedImage resolve(const std::optional<Digest>& pin = std::nullopt);

  /// What the reference names now, with HEAD: registries count that as no pull. Where they do not
  /// answer it, or without a digest, the manifest is fetched.
  /// @throws Error, as resolve() does.
  [[nodiscard]] NamedImage look_up();

  /// The bytes of a layer go to `sink` as they come, not verified; returning means that their size
  /// and digest are the descriptor's.
  ///
  /// Only what does not come out of `replay` is asked for.
  /// What one host had begun the next goes on with.
  /// @throws Error(integrity) when they are not, as soon as that is certain; NeedsRestart when they
  /// came in several parts, or of a mirror, which is left behind; (network); and what `sink`
  /// throws, as it is.
  void fetch_blob(const Descriptor& blob, const BodySink& sink, const Replay& replay = {});

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pyro
