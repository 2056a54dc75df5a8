// Whether a registry has newer images than those that are installed.
#pragma once

#include <optional>
#include <stop_token>

#include "net/curl_client.h"
#include "pyro/catalog.h"
#include "pyro/digest.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"

namespace pyro {

/// What was pulled: the digest of the manifest, and of the index where there was one.
struct PulledImage {
  Digest manifest;
  std::optional<Digest> index = {};
};

/// What the reference names.
struct NewestImage {
  Digest digest;
  bool is_newer = false;
};

/// Asks registries, over connections that are shared, once again at most where one does not
/// answer: it is only a question.
class ImageLookup {
 public:
  /// `progress` may be null; it hears of each request.
  ImageLookup(const NetworkOptions& network, const std::stop_token& stop,
              ProgressListener* progress);

  /// For an environment with an OCI source. One that is pinned, or named by its digest, is asked of
  /// nobody.
  /// @throws Error
  [[nodiscard]] NewestImage find(const Environment& environment, const PulledImage& pulled);

 private:
  const NetworkOptions network_;
  const std::stop_token stop_;
  ProgressListener* const progress_;
  std::optional<CurlClient> http_;
};

}  // namespace pyro
