// Pushes images into real registries byte for byte, also those that skopeo would not touch.
#pragma once

#include <filesystem>
#include <string>

#include "support/images.h"

namespace pyro::testing {

struct RawPushOptions {
  std::filesystem::path certificate_file = {};  ///< Empty: TLS is not verified.
  std::string authorization = {};               ///< "Basic ...", "Bearer ..."; empty: none.
};

/// Uploads every blob and document of `image`, the root as `tag`, to `registry_url`
/// ("https://localhost:PORT") by the distribution protocol. Nested indexes, Docker schema 2 and
/// entries without a platform arrive as they are. Throws std::runtime_error with the registry's
/// words when it refuses something.
void push_raw(const Image& image, const std::string& registry_url, const std::string& repository,
              const std::string& tag, const RawPushOptions& options = {});

}  // namespace pyro::testing
