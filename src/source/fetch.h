// What fetching an environment needs and what it tells afterwards, whatever the source.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "net/curl_client.h"
#include "net/retry.h"
#include "pyro/digest.h"
#include "pyro/limits.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"
#include "source/partials.h"
#include "source/unpacked_archive.h"

namespace pyro {

/// Compressed bytes: how far a fetch has come.
struct Arrival {
  std::uint64_t expected = 0;
  std::uint64_t received = 0;
};

struct FetchContext {
  const NetworkOptions& network;
  const ExtractionLimits& limits;
  ProgressListener& progress;
  Partials& partials;
  std::stop_token stop;
  /// Mirrors that have failed this pull, restarts included.
  std::set<std::string>& left_mirrors;
  /// On the file system that artifacts are written to.
  std::filesystem::path room;
  Arrival& arrival;
  const Unpacking& unpacking;

  void expecting(std::uint64_t compressed_bytes) const;
  void received(std::uint64_t compressed_bytes) const;
  /// What is compressed takes more room when it is not, but for bytes that are no artifact's.
  /// @throws Error(filesystem) when there is not even room for those
  void require_room_for(std::uint64_t compressed_bytes) const;
};

/// How an HTTP client serves it.
[[nodiscard]] CurlOptions client_options(const FetchContext& context);

/// How often and how patiently it tries again; `environment` is whose progress tells of it.
[[nodiscard]] RetryOptions retry_options(const FetchContext& context,
                                         const std::string& environment);

/// Where the artifacts came from, as the install record keeps it.
struct Provenance {
  std::string source;
  std::optional<std::string> source_digest;
  /// What the OCI reference resolved to, where that is an index and not the manifest itself.
  std::optional<Digest> oci_digest;
  std::uint64_t received_bytes = 0;
};

}  // namespace pyro
