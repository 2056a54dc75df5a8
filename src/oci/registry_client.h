// One image in one registry: which manifest its name means, and the bytes of its layers.
//
// Source: OCI distribution specification, "Pull".
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/reference.h"
#include "net/http.h"
#include "net/resumable_body.h"
#include "net/retry.h"
#include "oci/manifest.h"
#include "oci/mirrors.h"
#include "pyro/digest.h"
#include "pyro/network_options.h"

namespace pyro {

/// The image that a name refers to, according to the registry.
struct NamedImage {
  Digest digest;          ///< Of the manifest or index.
  bool is_index = false;  ///< The digest covers more than the image for this platform.
};

/// Bytes of a blob that an earlier pull kept. Those before `begin` were not kept, and are requested
/// first.
struct Replay {
  std::uint64_t begin = 0;  ///< Their place in the blob.
  std::function<void(const BodySink&)> run = {};
};

/// One image. Detects the scheme with the first request, and authenticates when the registry
/// requires it. Asks mirrors first. Not thread-safe.
class RegistryClient final : private DocumentSource {
 public:
  /// `http` must outlive the client. Sends nothing.
  /// @throws Error(network) for a registry that is blocked; (failed) for a registries.conf that
  /// cannot be used.
  RegistryClient(HttpClient& http, ImageReference image, const NetworkOptions& options,
                 const RetryOptions& retry = {}, const HostWatch& watch = {});

  /// With a pin, the pin is requested, never the tag.
  /// @throws Error(network): no such image, no image for this platform, refused credentials, no
  /// registry there; (integrity): bytes that do not have the digest or the form they must have;
  /// (failed): a credentials file or helper that cannot be used.
  [[nodiscard]] ResolvedImage resolve(const std::optional<Digest>& pin = std::nullopt);

  /// The image that the reference names now, by HEAD, which registries do not count as a pull.
  /// Fetches the manifest from registries that do not answer HEAD, or without a digest.
  /// @throws Error, as resolve() does.
  [[nodiscard]] NamedImage look_up();

  /// Sends the bytes of a blob to `sink` as they come, not verified; returning means that they
  /// have the size and digest of the descriptor. Requests only the bytes that `replay` does not
  /// have. When one host fails, the next continues where it stopped.
  /// Errors call it `what`.
  /// @throws Error(integrity) as soon as bytes are certainly wrong. Mirrors that sent some of them
  /// are marked as failed; if there are such, or if the bytes came in parts, a restart is requested
  /// from the session.
  /// @throws Error(network); exceptions of `sink`, unchanged.
  void fetch_blob(const std::string& what, const Descriptor& blob, const BodySink& sink,
                  const Replay& replay = {});

  /// The text of an image's config, verified; empty when it is not there.
  /// @throws Error, as resolve() does
  [[nodiscard]] std::string config(const Descriptor& descriptor) override;

 private:
  Document document(const Descriptor& child) override;
  Document fetch_top(const std::optional<Digest>& pin);
  Document fetch_document(const std::optional<Digest>& expected,
                          const std::optional<std::uint64_t>& size);
  static HttpResponse get_document(Host& host, const std::string& reference);
  void transfer(const Descriptor& blob, ResumableBody& body, std::vector<Host*>& used,
                const std::function<void(Host&)>& get);
  static void get_front(Host& host, const Descriptor& blob, ResumableBody& body,
                        std::uint64_t size);
  static void get_rest(Host& host, const Descriptor& blob, ResumableBody& body,
                       const BodySink& sink);
  bool mark_failed(const std::vector<Host*>& hosts, const Error& why);
  static HttpResponse ask_for_head(Host& host);
  [[nodiscard]] std::string by_digest(const Digest& digest) const;

  ImageReference image_;
  Hosts hosts_;
};

}  // namespace pyro
