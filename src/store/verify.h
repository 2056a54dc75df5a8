// Compares artifacts and saved states on disk with what was recorded of them.
#pragma once

#include <stop_token>

#include "pyro/catalog.h"
#include "pyro/environment_store.h"
#include "store/install_record.h"
#include "store/layout.h"

namespace pyro {

/// Spec section 8. Holes are skipped: their hash is known.
/// @throws Error(interrupted)
[[nodiscard]] VerifyReport verify_installation(const CacheLayout& layout,
                                               const Environment& environment,
                                               const std::stop_token& stop);

/// Whether the artifacts in the install directory have the digests that `record` has of them;
/// without any there is nothing to hold against it.
/// @throws Error(filesystem)
[[nodiscard]] bool is_as_recorded(int directory, const std::filesystem::path& path,
                                  const InstallRecord& record);

/// The same of the files of the saved state in a directory, and what its manifest has of them.
[[nodiscard]] bool is_as_saved(int directory, const std::filesystem::path& path);

/// Adds what was recorded of the files of the caller's saved states of `environment`:
/// "prepared/<network>/memory". An environment with a bad one is `modified`, as far as it was good.
/// @throws Error(filesystem), (interrupted)
void verify_states(const CacheLayout& layout, const Environment& environment, VerifyReport& report,
                   const std::stop_token& stop);

}  // namespace pyro
