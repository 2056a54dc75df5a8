// Whether registries have newer images than those that are installed.
#pragma once

#include <optional>
#include <stop_token>
#include <vector>

#include "pyro/digest.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"
#include "pyro/progress.h"

namespace pyro {

/// One installed environment. Its image is known by the digest of its index, where there is one,
/// else of its manifest.
struct UpdateStatus {
  EnvironmentStatus status;
  /// Of what was pulled; nothing for an install that came from elsewhere.
  std::optional<Digest> installed_digest = {};
  /// Of what the reference names now: the pin where there is one, else the registry's word.
  std::optional<Digest> newest_digest = {};
  /// Whether a forced pull would bring another image; nothing where nobody can say.
  std::optional<bool> newer_available = {};
  /// Why the registry could not say.
  std::optional<Error> error = {};
};

/// What each reference of an installed environment names, asked of the registries with HEAD, which
/// counts as no pull. What is pinned by its digest is asked of nobody, and neither is what did not
/// come from a registry. The failure of one is not that of the others. `progress`, which may be
/// null, hears of each request.
/// @throws Error(interrupted); (filesystem)
[[nodiscard]] std::vector<UpdateStatus> find_updates(const EnvironmentStore& store,
                                                     const std::stop_token& stop = {},
                                                     ProgressListener* progress = nullptr);

}  // namespace pyro
