// Environments across an air gap: out of the cache into one file, and back on another machine.
//
// The file is an OCI image layout in a tar (image-spec image-layout.md), so that skopeo, podman and
// others read it as well ("oci-archive:FILE:NAME"). Each environment is an image of one layer, a
// tar with its artifacts. Which environment an image is, its annotations say,
// `io.pyro.environment.name` and `.version`; and `.source-digest` where it was pulled from, which
// is a claim that nothing is decided by.
//
// Importing asks no network, and goes the way of a pull: bytes are held against their digests, and
// unpacked in the same box. Thread-safety: as EnvironmentStore.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/digest.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"
#include "pyro/progress.h"

namespace pyro {

/// How a layer's tar is packed. zstd is read fastest; gzip by everybody.
enum class LayerCompression { zstd, gzip, none };

struct ExportedEnvironment {
  std::string name;
  std::string version;
  Digest digest;            ///< Of the image's manifest.
  std::uint64_t bytes = 0;  ///< Of its layer, compressed.
  /// Whether its artifacts were held against the digests of their install; there are none of what
  /// the Python reference installed, nor of bundles.
  bool verified = false;
};

struct ExportOptions {
  LayerCompression compression = LayerCompression::zstd;
  /// Told of each environment once it is written. Optional.
  std::function<void(const ExportedEnvironment&)> on_exported = {};
  /// Asking it to stop ends the export with Error(interrupted).
  std::stop_token stop = {};
};

struct ExportReport {
  std::vector<ExportedEnvironment> environments;  ///< Sorted by name.
  std::uint64_t bytes = 0;                        ///< Of the whole file.
};

/// Writes installed environments into `file`, which appears, or is replaced, when it is complete
/// and on disk. The same installs give the same bytes, whatever the order of the names.
/// @throws Error(not_found) for one that is unknown or not installed; (integrity) for one that is
/// not as it was installed; (filesystem), (interrupted). `file` is then as it was.
ExportReport export_environments(const EnvironmentStore& store, std::span<const std::string> names,
                                 const std::filesystem::path& file,
                                 const ExportOptions& options = {});

/// The same into an open descriptor, a pipe maybe. What is written is complete: it is made in the
/// cache first, which must have room for it.
ExportReport export_environments(const EnvironmentStore& store, std::span<const std::string> names,
                                 int descriptor, const ExportOptions& options = {});

/// What an image layout says of one of its images. Text from outside: hostile.
struct LayoutEnvironment {
  std::optional<std::string> name;  ///< Nothing for an image of somebody else's.
  std::optional<std::string> version;
  std::string reference;  ///< `org.opencontainers.image.ref.name`; empty where there is none.
  Digest digest;          ///< Of its manifest or index.
};

class ImageLayout;

/// A layout to import from: a directory, or a tar. A compressed one is unpacked, once: into a file
/// of the store's cache that lasts as long as this does.
class OpenLayout {
 public:
  /// Asking `stop` to stop ends it with Error(interrupted).
  /// @throws Error(filesystem, integrity)
  OpenLayout(const EnvironmentStore& store, const std::filesystem::path& path,
             const std::stop_token& stop = {});

  /// Its images, in their order.
  [[nodiscard]] std::vector<LayoutEnvironment> environments() const;

  [[nodiscard]] const std::shared_ptr<const ImageLayout>& files() const noexcept { return files_; }

 private:
  std::shared_ptr<const ImageLayout> files_;
};

struct ImportOptions {
  /// The environment that it becomes, whatever the image says of itself.
  std::optional<std::string> as = {};
  /// Replace an install even if it is of the same image.
  bool force = false;
  /// The file that gets the entry of an environment that the catalog does not know; the image of an
  /// export brings that entry. Without a file such an environment is refused.
  std::optional<std::filesystem::path> user_catalog = {};
  /// Called with an entry once it has been added. Optional.
  std::function<void(const Environment&)> on_added = {};
  ProgressListener* progress = nullptr;  ///< Not owned; may be null.
  std::stop_token stop = {};
};

/// Installs the image of `layout` that is called `name`, by its environment's name or by its
/// reference. With `as`, `name` may be empty for the only image there is. What is installed already
/// is replaced, unless it came of the same image.
///
/// A pin of the catalog holds: the image must be the pinned one, and not one that says that it came
/// from there. An environment that the catalog does not know gets the entry that the image brings,
/// with a registry or an https URL as its source, or none; `store` has it from then on.
/// @throws Error(not_found) when there is no such image, or the catalog does not know it; (failed)
/// when the catalog has it in another version; else as EnvironmentStore::pull()
EnvironmentStatus import_environment(EnvironmentStore& store, const OpenLayout& layout,
                                     std::string_view name, const ImportOptions& options = {});

}  // namespace pyro
