// A fetch from any source: its context, its result, and the partial downloads that it keeps.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <list>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "base/files.h"
#include "net/curl_client.h"
#include "net/http.h"
#include "net/resumable_body.h"
#include "net/retry.h"
#include "pyro/catalog.h"
#include "pyro/container_config.h"
#include "pyro/digest.h"
#include "pyro/limits.h"
#include "pyro/network_options.h"
#include "pyro/progress.h"

namespace pyro {

struct Unpacking;

/// The compressed bytes of one layer, written beside the stream and read back by a later pull,
/// which verifies them like bytes from the network. Locked while this lives.
///
/// A transfer of a moment is not worth a second copy, so writing begins after a while. The bytes
/// before that are a hole at the front of the file, which the later pull fetches.
///
/// When anything is wrong with the file, the pull continues without it.
class Partial {
 public:
  /// The file `name` in the directory, made if need be; no file while another process has it.
  /// Writing begins `keep_after` from now.
  Partial(int directory, std::string name, std::uint64_t size,
          std::chrono::milliseconds keep_after);
  /// The file stays unless it is empty.
  ~Partial();
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  /// The place in the layer of the bytes that an earlier pull kept.
  [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
  /// Sends those bytes to `sink`.
  void replay(const BodySink& sink);
  /// The next bytes of the layer; those that came out of replay() are passed over.
  void append(std::span<const std::byte> bytes);

  void discard();

 private:
  int directory_;
  std::string name_;
  Fd file_;  // none: nothing is kept
  std::chrono::steady_clock::time_point keep_from_;
  std::uint64_t begin_ = 0;     // of the bytes in the file
  std::uint64_t end_ = 0;       // of the bytes in the file
  std::uint64_t position_ = 0;  // in the layer, of the next bytes
};

/// The partial downloads of one pull.
class Partials {
 public:
  Partials(std::filesystem::path directory, std::chrono::milliseconds keep_after)
      : path_(std::move(directory)), keep_after_(keep_after) {}

  /// For a blob of that digest and size; valid as long as this is.
  [[nodiscard]] Partial& open(const Digest& digest, std::uint64_t size);

  /// Call when the pull is done, or failed for a reason that stays.
  void discard();

 private:
  std::filesystem::path path_;
  std::chrono::milliseconds keep_after_;
  Fd directory_;
  std::list<Partial> partials_;
};

/// Compressed bytes of a fetch.
struct ByteCount {
  std::uint64_t expected = 0;
  std::uint64_t received = 0;
};

/// One attempt of a fetch.
struct FetchContext {
  const std::string& environment;  ///< Its name, for progress.
  EnvironmentKind kind = EnvironmentKind::environment;
  const NetworkOptions& network;
  const ExtractionLimits& limits;
  ProgressListener& progress;
  Partials& partials;
  std::stop_token stop;
  PullSession& session;
  /// On the file system that artifacts are written to.
  std::filesystem::path target_dir;
  ByteCount& bytes;
  const Unpacking& unpacking;

  void expecting(std::uint64_t compressed_bytes) const;
  void received(std::uint64_t compressed_bytes) const;
  /// @throws Error(filesystem) when there are fewer free bytes
  void require_free_space(std::uint64_t min_unpacked_bytes) const;
};

/// The options of the HTTP client of a fetch.
[[nodiscard]] CurlOptions client_options(const FetchContext& context);

/// Reports retries as progress.
[[nodiscard]] RetryOptions retry_options(const FetchContext& context);

/// The source of the artifacts, for the install record.
struct Provenance {
  std::string source;
  std::optional<std::string> source_digest;
  /// The digest of the index, if the OCI reference resolved to one.
  std::optional<Digest> oci_digest;
  std::uint64_t received_bytes = 0;
  std::optional<ContainerConfig> config = {};  ///< Of a container image.
};

}  // namespace pyro
