// Environments out of the cache into an image layout.
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

#include "base/destination.h"
#include "base/fs_verity.h"
#include "base/output_file.h"
#include "base/sparse_reader.h"
#include "base/whole_calls.h"
#include "catalog/portable_entry.h"
#include "oci/layout_writer.h"
#include "pyro/image_layout.h"
#include "store/environment_annotations.h"
#include "store/held_installation.h"
#include "store/layer_writer.h"
#include "store/layout.h"
#include "store/staging_directory.h"
#include "store/stores.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

constexpr std::size_t kCopySize = std::size_t{64} << 10;

/// An artifact that is exported: open, and what it must turn out to be where that is known.
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

HeldInstallation hold(const Environment& environment, const StoreOptions& options) {
  auto held = Stores(options).hold(environment);
  if (held) return std::move(*held);
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

std::vector<OpenArtifact> artifacts_of(const Environment& environment,
                                       const HeldInstallation& held) {
  const InstallRecord& record = held.installation.record;
  const std::array files = {held.kernel.get(), held.rootfs.get(), held.initrd.get()};
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
  std::vector<std::uint64_t> sizes;
  for (const OpenArtifact& artifact : artifacts) sizes.push_back(artifact.size);
  return LayerWriter::tar_size(sizes);
}

/// A place on this machine, or a name in its files, is nobody else's business.
bool is_public(std::string_view source) {
  return source.starts_with("oci://") || source.starts_with("https://");
}

/// One file in the making.
class Exporter {
 public:
  Exporter(const StoreOptions& store, OutputFile& file, const ExportOptions& options)
      : store_(store), options_(options), layout_(file) {}

  void add(const std::string& name) {
    const Environment& environment = store_.catalog.require(name);
    const HeldInstallation held = hold(environment, store_);
    const auto artifacts = artifacts_of(environment, held);
    LayerWriter writer(layout_, options_.compression, tar_size_of(artifacts));
    for (const OpenArtifact& artifact : artifacts) add_artifact(writer, environment, artifact);
    const LayerWriter::Layer layer = writer.finish();
    add_image(environment, held.installation.record, layer, artifacts);
  }

  ExportReport finish() {
    report_.bytes = layout_.finish();
    return std::move(report_);
  }

 private:
  void add_artifact(LayerWriter& writer, const Environment& environment,
                    const OpenArtifact& artifact) {
    FsVerity verity;
    writer.begin_member(artifact.name, artifact.size);
    read_sparse(artifact.file, artifact.size, artifact.name, options_.stop,
                {.data =
                     [&](std::span<const std::byte> bytes) {
                       verity.add_blocks(bytes);
                       writer.data(bytes);
                     },
                 .hole =
                     [&](std::uint64_t size) {
                       verity.add_zero_blocks(blocks_in(size));
                       add_hole(writer, size);
                     }});
    writer.end_member();
    const Digest digest = verity.finish(artifact.size);
    if (artifact.expected && *artifact.expected != digest) {
      throw not_as_installed(environment, artifact.name + " was modified");
    }
  }

  void add_hole(LayerWriter& writer, std::uint64_t size) const {
    constexpr std::uint64_t kMost = 64U << 20;
    for (std::uint64_t done = 0; done < size; done += std::min(kMost, size - done)) {
      if (options_.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
      writer.zeros(std::min(kMost, size - done));
    }
  }

  void add_image(const Environment& environment, const InstallRecord& record,
                 const LayerWriter::Layer& layer, const std::vector<OpenArtifact>& artifacts) {
    Annotations of_entry{{std::string(kEnvironmentName), record.name},
                         {std::string(kEnvironmentVersion), record.version}};
    Annotations of_manifest = of_entry;
    if (is_public(record.source)) of_manifest.emplace(kEnvironmentSource, record.source);
    if (record.source_digest) of_manifest.emplace(kEnvironmentSourceDigest, *record.source_digest);
    of_manifest.emplace(kEnvironmentEntry, write_portable_entry(environment));
    of_entry.emplace(kRefName, record.name);
    const Digest digest =
        layout_.add_image(layer.descriptor, layer.diff_id, of_manifest, std::move(of_entry));
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

ExportReport write_layout(const EnvironmentStore& store, std::span<const std::string> names,
                          OutputFile& file, const ExportOptions& options) {
  std::vector<std::string> sorted(names.begin(), names.end());
  std::ranges::sort(sorted);
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  Exporter exporter(store.options(), file, options);
  for (const std::string& name : sorted) exporter.add(name);
  return exporter.finish();
}

/// What is wrong with the names is known before anything is written.
void require_installed(const EnvironmentStore& store, std::span<const std::string> names) {
  for (const std::string& name : names) {
    static_cast<void>(hold(store.options().catalog.require(name), store.options()));
  }
}

/// Where the other end takes its time, asking to stop is heard of.
void wait_until_writable(int descriptor, const std::stop_token& stop) {
  constexpr int kMilliseconds = 200;
  pollfd ready{.fd = descriptor, .events = POLLOUT, .revents = 0};
  int answer = 0;
  do {
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    answer = ::poll(&ready, 1, kMilliseconds);
  } while (answer == 0 || (answer < 0 && errno == EINTR));
}

bool is_regular(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
}

/// More than PIPE_BUF bytes would wait for the reader of a pipe, whatever poll(2) says.
void write_when_ready(int descriptor, std::string_view bytes, std::size_t piece,
                      const std::stop_token& stop) {
  while (!bytes.empty()) {
    wait_until_writable(descriptor, stop);
    const ssize_t n = ::write(descriptor, bytes.data(), std::min(bytes.size(), piece));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) throw system_error("cannot write the output", errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void copy(const OutputFile& file, std::uint64_t size, int descriptor, const std::stop_token& stop) {
  const std::size_t piece = is_regular(descriptor) ? kCopySize : PIPE_BUF;
  const auto buffer = std::make_unique_for_overwrite<char[]>(kCopySize);
  for (std::uint64_t at = 0; at < size;) {
    const std::span bytes(buffer.get(), std::min<std::uint64_t>(kCopySize, size - at));
    pread_all(file.descriptor(), std::as_writable_bytes(bytes), at, file.path().string());
    write_when_ready(descriptor, {bytes.data(), bytes.size()}, piece, stop);
    at += bytes.size();
  }
}

}  // namespace

ExportReport export_environments(const EnvironmentStore& store, std::span<const std::string> names,
                                 const std::filesystem::path& file, const ExportOptions& options) {
  require_installed(store, names);
  const Destination destination = open_destination(file);
  if (destination.stream) {
    return export_environments(store, names, destination.stream.get(), options);
  }
  OutputFile output(destination.path);
  ExportReport report = write_layout(store, names, output, options);
  output.commit(report.bytes);
  return report;
}

ExportReport export_environments(const EnvironmentStore& store, std::span<const std::string> names,
                                 int descriptor, const ExportOptions& options) {
  require_installed(store, names);
  const StagingDirectory staging{CacheLayout(store.options().cache_dir)};
  OutputFile output(staging.path_of("export"));
  const ExportReport report = write_layout(store, names, output, options);
  copy(output, report.bytes, descriptor, options.stop);
  return report;
}

}  // namespace pyro
