// An environment from Debian's packages.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "sandbox/sandboxed_extractor.h"
#include "source/fetch.h"

namespace pyro {

/// What mmdebstrap installs. The words are checked: check_packages().
struct PackageSource {
  std::filesystem::path mmdebstrap;
  std::string suite;
  std::vector<std::string> packages;
  std::uint64_t size = 0;  ///< Of the file system, in bytes; 0: a quarter of its content is free.

  /// "mmdebstrap:bookworm:bash,git", as install records have it.
  [[nodiscard]] std::string to_string() const;
};

inline constexpr std::string_view kPackageScheme = "mmdebstrap:";

/// @throws Error(usage) for words that mmdebstrap would not take for a suite and packages
void check_packages(const PackageSource& source);

/// Runs mmdebstrap, and streams the tree that it makes into `extraction`, which takes it apart
/// (image/boot_files.h). It gets the package sources of this machine for that suite, else its own.
/// An interruption ends it, after it has removed its files.
/// @throws Error(failed) with its last words; (interrupted); whatever `extraction` throws
[[nodiscard]] Provenance fetch_from_packages(const PackageSource& source,
                                             const FetchContext& context,
                                             SandboxedExtractor& extraction);

}  // namespace pyro
