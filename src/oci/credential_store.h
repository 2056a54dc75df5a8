// Writing to a file of credentials, or to the helper that it names.
//
// Source: docker's config.json and containers-auth.json(5), for what others expect to find.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "oci/credentials.h"

namespace pyro {

/// What became of it.
struct Kept {
  std::optional<std::string> helper = {};  ///< The program that was told.
  bool was_there = false;                  ///< There had been something for the registry.
};

/// Keeps `credentials` for `registry` in the first of `sources.files`, in place of what was there.
/// @throws Error(failed), (filesystem), (busy), (interrupted), with the file as it was
Kept keep_credentials(const CredentialSources& sources, std::string_view registry,
                      const Credentials& credentials);

/// Takes them out again. The file is not touched where it has none.
Kept forget_credentials(const CredentialSources& sources, std::string_view registry);

}  // namespace pyro
