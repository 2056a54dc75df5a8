// Exports environments from the cache into an image layout.
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <map>
#include <memory>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "base/fs_verity.h"
#include "base/hash.h"
#include "base/output_file.h"
#include "base/tar_header.h"
#include "base/worker.h"
#include "catalog/entry.h"
#include "oci/image_layout.h"
#include "pyro/environment_store.h"
#include "store/base_kernel.h"
#include "store/install_record.h"
#include "store/installation.h"
#include "store/transaction.h"
#include "stream/artifacts.h"
#include "stream/compress.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxQueuedPieces = 8;
constexpr std::size_t kExportPiece = std::size_t{1} << 20;

std::span<const std::byte> zero_piece() {
  static const std::vector<std::byte> zeros(kExportPiece);
  return zeros;
}

const char* media_type_of(LayerCompression compression) {
  switch (compression) {
    case LayerCompression::zstd:
      return "application/vnd.oci.image.layer.v1.tar+zstd";
    case LayerCompression::gzip:
      return "application/vnd.oci.image.layer.v1.tar+gzip";
    case LayerCompression::none:
      break;
  }
  return "application/vnd.oci.image.layer.v1.tar";
}

std::unique_ptr<Compressor> open_compressor(LayerCompression compression, std::uint64_t size,
                                            Compressor::Sink sink) {
  switch (compression) {
    case LayerCompression::zstd:
      return compress_zstd(size, std::move(sink));
    case LayerCompression::gzip:
      return compress_gzip(size, std::move(sink));
    case LayerCompression::none:
      break;
  }
  return compress_none(size, std::move(sink));
}

/// Writes a compressed layer as a blob of an image layout. The caller's thread hashes the content;
/// another one compresses, hashes and writes. Holes become zeros: not every tool reads sparse
/// members, and readers find the holes again.
class LayerWriter {
 public:
  struct Layer {
    Descriptor descriptor;
    Digest diff_id;
  };

  /// Begins a blob of `layout`, which must outlive this, of a layer of that size.
  LayerWriter(LayoutWriter& layout, LayerCompression compression, std::uint64_t size)
      : layout_(layout),
        compression_(compression),
        compressor_(open_compressor(
            compression, size, [&](std::span<const std::byte> bytes) { layout_.write(bytes); })),
        worker_(kMaxQueuedPieces, [this](const std::vector<std::byte>& bytes) {
          compressor_->write(bytes.empty() ? zero_piece() : bytes);
        }) {
    layout_.begin_blob();
  }

  /// The compressor gets pieces of one size: its output depends on how the input is cut.
  void data(std::span<const std::byte> bytes) {
    diff_.update(bytes);
    while (!bytes.empty()) {
      const auto part = bytes.first(std::min(bytes.size(), kExportPiece - piece_.size()));
      piece_.insert(piece_.end(), part.begin(), part.end());
      bytes = bytes.subspan(part.size());
      if (piece_.size() == kExportPiece) pass_on();
    }
  }

  void zeros(std::uint64_t count) {
    while (count > 0) {
      const auto part = zero_piece().first(
          static_cast<std::size_t>(std::min<std::uint64_t>(count, kExportPiece - piece_.size())));
      count -= part.size();
      if (part.size() < kExportPiece) {
        data(part);
      } else {
        diff_.update(part);
        worker_.push({});
      }
    }
  }

  [[nodiscard]] Layer finish() {
    if (!piece_.empty()) pass_on();
    worker_.drain();
    compressor_->finish();
    return {.descriptor = layout_.end_blob(media_type_of(compression_)), .diff_id = diff_.finish()};
  }

 private:
  void pass_on() {
    worker_.push(std::exchange(piece_, {}));
    piece_.reserve(kExportPiece);
  }

  LayoutWriter& layout_;
  const LayerCompression compression_;
  Sha256 diff_;
  std::vector<std::byte> piece_;  // being filled
  std::unique_ptr<Compressor> compressor_;
  /// An empty piece stands for a piece of zeros.
  Worker<std::vector<std::byte>> worker_;  // last: it uses all the others
};

constexpr std::size_t kCopySize = std::size_t{64} << 10;

/// An open artifact, and its digest where the record has one.
struct OpenArtifact {
  std::string name;
  int file = -1;
  std::uint64_t size = 0;
  std::optional<Digest> expected = {};
};

Error not_as_installed(const Environment& environment, const std::string& what) {
  Error error(ErrorCode::integrity, what,
              "'pyro env pull --repair " + environment.name + "' replaces it");
  error.add_context("environment '" + environment.name + "' is not as it was installed");
  return error;
}

InstallLease lease_of(const Environment& environment, const StoreOptions& options) {
  auto lease = Stores(options).acquire_lease(environment);
  if (lease) return std::move(*lease);
  throw Error(ErrorCode::not_found, "environment '" + environment.name + "' is not installed",
              "install it with 'pyro env pull " + environment.name + "'");
}

OpenArtifact look_at(const Environment& environment, const InstallRecord& record, std::size_t kind,
                     int file) {
  OpenArtifact artifact{.name = std::string(kArtifactKinds[kind].name), .file = file};
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error("cannot look at " + artifact.name, errno);
  artifact.size = static_cast<std::uint64_t>(status.st_size);
  const auto recorded = record.artifacts.find(artifact.name);
  if (recorded == record.artifacts.end()) return artifact;
  artifact.expected = recorded->second.digest;
  if (artifact.size == recorded->second.size) return artifact;
  throw not_as_installed(environment, artifact.name + " has " + std::to_string(artifact.size) +
                                          " bytes instead of " +
                                          std::to_string(recorded->second.size));
}

std::vector<OpenArtifact> artifacts_of(const Environment& environment, const InstallLease& lease) {
  const InstallRecord& record = lease.installation.record;
  const std::array files = {lease.kernel.get(), lease.rootfs.get(), lease.initrd.get()};
  static_assert(files.size() == kArtifactKinds.size());
  std::vector<OpenArtifact> artifacts;
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    if (files[kind] >= 0) {
      artifacts.push_back(look_at(environment, record, kind, files[kind]));
    } else if (record.artifacts.contains(std::string(kArtifactKinds[kind].name))) {
      throw not_as_installed(environment, std::string(kArtifactKinds[kind].name) + " is missing");
    }
  }
  return artifacts;
}

std::uint64_t tar_size_of(const std::vector<OpenArtifact>& artifacts) {
  std::uint64_t total = kTarEnd;
  for (const OpenArtifact& artifact : artifacts) {
    total += kTarBlock + artifact.size + tar_padding(artifact.size);
  }
  return total;
}

/// Paths on this machine, and names in its files, stay private.
bool is_public(std::string_view source) {
  return source.starts_with("oci://") || source.starts_with("https://");
}

/// The environments of an export by name; of a container also the base that goes along.
using Contents = std::map<std::string, std::optional<std::string>>;

/// Writes the layout.
class Exporter {
 public:
  Exporter(const StoreOptions& store, OutputFile& file, const ExportOptions& options)
      : store_(store), options_(options), layout_(file) {}

  void add(const std::string& name, const std::optional<std::string>& base) {
    const Environment& environment = store_.catalog.require(name);
    const InstallLease lease = lease_of(environment, store_);
    const auto artifacts = artifacts_of(environment, lease);
    const LayerWriter::Layer layer = write_layer(environment, artifacts);
    add_image(environment, base, lease.installation.record, layer, artifacts);
  }

  ExportReport finish() {
    report_.bytes = layout_.finish();
    return std::move(report_);
  }

 private:
  /// A tar of the artifacts; of a container the file system alone, which its title tells.
  LayerWriter::Layer write_layer(const Environment& environment,
                                 const std::vector<OpenArtifact>& artifacts) {
    const bool is_tar = environment.kind == EnvironmentKind::environment;
    const std::uint64_t size = is_tar ? tar_size_of(artifacts) : artifacts.front().size;
    RunningOperation operation(options_.progress, {.name = "exporting",
                                                   .subject = environment.name,
                                                   .unit = ProgressUnit::bytes,
                                                   .total = size});
    LayerWriter writer(layout_, options_.compression, size);
    for (const OpenArtifact& artifact : artifacts) {
      if (is_tar) writer.data(make_tar_header(artifact.name, artifact.size));
      add_artifact(writer, environment, artifact, operation);
      if (is_tar) writer.zeros(tar_padding(artifact.size));
    }
    if (is_tar) writer.zeros(kTarEnd);
    LayerWriter::Layer layer = writer.finish();
    if (!is_tar) layer.descriptor.annotations.emplace(kTitle, artifacts.front().name);
    return layer;
  }

  void add_artifact(LayerWriter& writer, const Environment& environment,
                    const OpenArtifact& artifact, RunningOperation& operation) {
    FsVerity verity;
    read_sparse(artifact.file, artifact.size, artifact.name, options_.stop,
                {.data =
                     [&](std::span<const std::byte> bytes) {
                       verity.add_blocks(bytes);
                       writer.data(bytes);
                       operation.add(bytes.size());
                     },
                 .hole =
                     [&](std::uint64_t size) {
                       verity.add_zero_blocks(blocks_in(size));
                       add_hole(writer, size, operation);
                     }});
    const Digest digest = verity.finish(artifact.size);
    if (artifact.expected && *artifact.expected != digest) {
      throw not_as_installed(environment, artifact.name + " was modified");
    }
  }

  void add_hole(LayerWriter& writer, std::uint64_t size, RunningOperation& operation) const {
    constexpr std::uint64_t kMaxStep = 64U << 20;
    for (std::uint64_t done = 0; done < size; done += std::min(kMaxStep, size - done)) {
      if (options_.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
      writer.zeros(std::min(kMaxStep, size - done));
      operation.add(std::min(kMaxStep, size - done));
    }
  }

  void add_image(Environment environment, const std::optional<std::string>& base,
                 const InstallRecord& record, const LayerWriter::Layer& layer,
                 const std::vector<OpenArtifact>& artifacts) {
    Annotations of_entry{{std::string(kEnvironmentName), record.name},
                         {std::string(kEnvironmentVersion), record.version}};
    Annotations of_manifest = of_entry;
    if (is_public(record.source)) of_manifest.emplace(kEnvironmentSource, record.source);
    if (record.source_digest) of_manifest.emplace(kEnvironmentSourceDigest, *record.source_digest);
    if (base) of_manifest.emplace(kEnvironmentBase, *(environment.base = base));
    of_manifest.emplace(kEnvironmentEntry, write_portable_entry(environment));
    of_entry.emplace(kRefName, record.name);
    const Digest digest = layout_.add_image(layer.descriptor, layer.diff_id,
                                            record.config.value_or(ContainerConfig()), of_manifest,
                                            std::move(of_entry));
    const bool verified = std::ranges::all_of(
        artifacts, [](const OpenArtifact& artifact) { return artifact.expected.has_value(); });
    report_.environments.push_back({.name = record.name,
                                    .version = record.version,
                                    .digest = digest,
                                    .bytes = layer.descriptor.size,
                                    .verified = verified});
    if (options_.on_exported) options_.on_exported(report_.environments.back());
  }

  const StoreOptions& store_;
  const ExportOptions& options_;
  LayoutWriter layout_;
  ExportReport report_;
};

ExportReport write_layout(const StoreOptions& store, const Contents& contents, OutputFile& file,
                          const ExportOptions& options) {
  Exporter exporter(store, file, options);
  for (const auto& [name, base] : contents) exporter.add(name, base);
  return exporter.finish();
}

/// The installed environment whose kernel `container` boots. Nothing, and a warning, without one.
std::optional<std::string> base_to_take(const Environment& container, Bases& bases,
                                        const Stores& stores) {
  std::string why;
  try {
    const Base base = bases.choose(container);
    if (base.environment != nullptr && stores.find(*base.environment)) return base.name();
    why = base.environment != nullptr ? "its base '" + base.name() + "' is not installed"
                                      : "it boots the one in " + base.name() +
                                            ", and PYRO_BASE names no environment instead";
  } catch (const NoKernel&) {
    why = "there is none";
  } catch (const Error& error) {
    why = error.what();
  }
  stores.cache().rights().warn("no kernel goes along with '" + container.name + "': " + why);
  return std::nullopt;
}

/// Reports wrong names before anything is written.
Contents contents_of(const StoreOptions& store, std::span<const std::string> names) {
  const Stores stores(store);
  Bases bases(store, stores);
  Contents contents;
  for (const std::string& name : names) {
    const Environment& environment = store.catalog.require(name);
    static_cast<void>(lease_of(environment, store));
    auto& base = contents[name];
    if (environment.kind == EnvironmentKind::environment || base) continue;
    base = base_to_take(environment, bases, stores);
    if (base) contents.try_emplace(*base);
  }
  return contents;
}

bool is_regular(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

/// For a pipe, `piece` is at most PIPE_BUF: a larger write may block although poll(2) says
/// writable.
void write_when_ready(int descriptor, std::string_view bytes, std::size_t piece,
                      const std::stop_token& stop) {
  while (!bytes.empty()) {
    wait_for_event(descriptor, POLLOUT, stop);
    const ssize_t n = ::write(descriptor, bytes.data(), std::min(bytes.size(), piece));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) throw system_error("cannot write the output", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void copy(const OutputFile& file, std::uint64_t size, int descriptor,
          const ExportOptions& options) {
  RunningOperation operation(
      options.progress,
      {.name = "writing", .subject = "the export", .unit = ProgressUnit::bytes, .total = size});
  const std::size_t piece = is_regular(descriptor) ? kCopySize : PIPE_BUF;
  const auto buffer = std::make_unique_for_overwrite<char[]>(kCopySize);
  for (std::uint64_t at = 0; at < size;) {
    const std::span bytes(buffer.get(), std::min<std::uint64_t>(kCopySize, size - at));
    pread_all(file.descriptor(), std::as_writable_bytes(bytes), at, file.path().string());
    write_when_ready(descriptor, {bytes.data(), bytes.size()}, piece, options.stop);
    at += bytes.size();
    operation.add(bytes.size());
  }
}

}  // namespace

ExportReport EnvironmentStore::export_to(const std::filesystem::path& file,
                                         std::span<const std::string> names,
                                         const ExportOptions& options) const {
  const Destination destination = open_destination(file);
  if (destination.stream) {
    return export_to(destination.stream.get(), names, options);
  }
  const Contents contents = contents_of(options_, names);
  OutputFile output(destination.path);
  ExportReport report = write_layout(options_, contents, output, options);
  const RunningOperation operation(
      options.progress, {.name = "writing", .subject = file.native(), .detail = "to disk"});
  output.commit(report.bytes);
  return report;
}

ExportReport EnvironmentStore::export_to(int descriptor, std::span<const std::string> names,
                                         const ExportOptions& options) const {
  const Contents contents = contents_of(options_, names);
  const StagingDirectory staging{CacheLayout(options_.cache_dir)};
  OutputFile output(staging.path_of("export"));
  ExportReport report = write_layout(options_, contents, output, options);
  copy(output, report.bytes, descriptor, options);
  return report;
}

}  // namespace pyro
