// Pull: choose a source, lock, fetch, commit.
#include "store/installer.h"

#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <variant>

#include "base/directories.h"
#include "base/errors.h"
#include "base/files.h"
#include "catalog/catalog.h"
#include "sandbox/sandboxed_extractor.h"
#include "source/archive_source.h"
#include "source/directory_source.h"
#include "source/environment_source.h"
#include "source/fetch.h"
#include "source/image_source.h"
#include "source/package_source.h"
#include "store/base_kernel.h"
#include "store/install_record.h"
#include "store/installation.h"
#include "store/transaction.h"

namespace pyro {
namespace {

/// Warnings go to the listener of the pull where there is one.
Rights::Warn warn_of(const StoreOptions& options, const PullOptions& pull) {
  if (pull.progress == nullptr) return options.on_warning;
  return [&progress = *pull.progress](std::string_view text) { progress.warning(text); };
}

/// An install without digests is left alone, and an unreadable one is replaced.
bool needs_repair(const Environment& environment, const CacheLayout& layout,
                  const PullOptions& options) {
  try {
    const Verdict verdict =
        verify_installation(layout, environment, options.stop, options.progress).verdict;
    return verdict == Verdict::modified || verdict == Verdict::missing;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::filesystem) throw;
    return true;
  }
}

/// The present install, if it satisfies the request.
std::optional<InstalledEnvironment> find_satisfying(const Environment& environment,
                                                    const Stores& stores,
                                                    const PullOptions& options) {
  if (options.mode == PullMode::force) return std::nullopt;
  for (const CacheLayout& layout : stores.all()) {
    const auto installation = find_installation(layout, environment);
    if (!installation || differs_from_pin(installation->record, environment)) continue;
    const bool is_good =
        options.mode != PullMode::repair || !needs_repair(environment, layout, options);
    if (is_good) return installation->describe();
  }
  return std::nullopt;
}

void require_compatible(const Environment& environment) {
  if (environment.compatible()) return;
  throw Error(ErrorCode::failed, "environment '" + environment.name + "' is for catalog versions " +
                                     environment.compatibility + ", and this pyro has " +
                                     std::string(kCatalogVersion));
}

std::int64_t seconds_since_1970() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

InstallRecord record_of(const Environment& environment, const Provenance& provenance,
                        const std::vector<WrittenArtifact>& artifacts) {
  InstallRecord record;
  record.catalog_version = kCatalogVersion;
  record.name = environment.name;
  record.version = environment.version;
  record.source = provenance.source;
  record.source_digest = provenance.source_digest;
  record.installed_at = seconds_since_1970();
  record.catalog_file = environment.catalog_file;
  record.oci_digest = provenance.oci_digest;
  record.kind = environment.kind;
  record.config = provenance.config;
  for (const WrittenArtifact& artifact : artifacts) {
    record.artifacts.emplace(kArtifactKinds[artifact.kind].name,
                             InstallRecord::Artifact{artifact.size, artifact.digest});
  }
  return record;
}

/// Links to links that upper layers replace can need more than one additional pass.
constexpr int kMaxRereads = 3;

/// One pull, under the lock of its environment.
class Pull {
 public:
  /// `source` replaces the source of the catalog entry.
  Pull(const StoreOptions& options, const Stores& stores, const Environment& environment,
       const PullOptions& pull, std::optional<ChosenSource> source)
      : options_(options),
        stores_(stores),
        layout_(stores.cache()),
        environment_(environment),
        pull_(pull),
        source_(std::move(source)),
        progress_(pull.progress != nullptr ? *pull.progress : silence_),
        unpacking_(unpacking_in(options, progress_, pull.stop)) {}

  InstalledEnvironment run() {
    if (!source_) source_ = choose_source(options_.runtime_dir, environment_, progress_);
    if (!source_) {
      if (auto installed = find_satisfying(environment_, stores_, pull_)) return *installed;
      refuse_without_source();
    }
    const Fd locks = layout_.make(layout_.locks_dir());
    const FileLock lock = acquire_lock(locks.get());
    // Another process may have installed it while this one waited.
    if (auto installed = find_satisfying(environment_, stores_, pull_)) return *installed;
    return std::visit([&](const auto& chosen) { return install_from(chosen); }, *source_);
  }

 private:
  [[noreturn]] void refuse_without_source() const {
    if (environment_.location &&
        std::holds_alternative<StandardInputSource>(*environment_.location)) {
      throw Error(ErrorCode::not_found,
                  "environment '" + environment_.name + "' was read from standard input",
                  "add it again: COMMAND | pyro env add " + environment_.name +
                      (is_container() ? " - --container --force" : " - --force"));
    }
    if (const auto installation = find_installation(layout_, environment_)) {
      const bool is_built = installation->record.source.starts_with(kPackageScheme);
      throw Error(ErrorCode::not_found,
                  "environment '" + environment_.name +
                      "' is installed, but has no source to pull it from again",
                  is_built ? "'pyro env build " + environment_.name + "' builds it anew"
                           : "'pyro env import' brings it from a file");
    }
    throw Error(ErrorCode::not_found, "environment '" + environment_.name +
                                          "' is not installed and no downloadable source is "
                                          "configured");
  }

  FileLock acquire_lock(int locks) try {
    const std::string name =
        CacheLayout::lock_name(layout_.install_dir(environment_).filename().string());
    return FileLock::acquire(locks, name, layout_.locks_dir() / name,
                             {.timeout = options_.lock_timeout,
                              .stop = pull_.stop,
                              .on_wait = [&](std::optional<int> holder) {
                                progress_.waiting(environment_.name, holder);
                              }});
  } catch (Error& error) {
    if (error.code() == ErrorCode::busy) {
      error.add_hint("try again later, or wait longer with --lock-timeout");
    }
    throw;
  }

  [[nodiscard]] bool is_container() const {
    return environment_.kind == EnvironmentKind::container;
  }

  InstalledEnvironment install_from(const BundledProfile& profile) {
    progress_.started(environment_.name, profile.directory.string());
    Transaction transaction(layout_, environment_);
    install_from_bundle(profile.directory, transaction.directory(), transaction.destination());
    const Provenance provenance{.source = kBundleSource,
                                .source_digest = profile.bundle.digest_of(environment_),
                                .oci_digest = std::nullopt};
    return commit(transaction, provenance, {});
  }

  InstalledEnvironment install_from(const ArtifactDirectory& directory) {
    progress_.started(environment_.name, directory.path.string());
    Transaction transaction(layout_, environment_);
    try {
      const auto artifacts = copy_artifacts(directory.path, transaction.directory(), layout_.root(),
                                            options_.limits, pull_.stop, progress_);
      const Provenance provenance{.source = directory.path.string(),
                                  .source_digest = std::nullopt,
                                  .oci_digest = std::nullopt};
      return commit(transaction, provenance, artifacts);
    } catch (Error& error) {
      add_disk_full_details(error, transaction, {});
      throw;
    }
  }

  InstalledEnvironment install_from(const LayoutImage& image) {
    return fetch([&](const FetchContext& context, SandboxedExtractor& extraction) {
      return fetch_from_layout(image, context, extraction);
    });
  }

  InstalledEnvironment install_from(const RegistrySource& source) {
    return fetch([&](const FetchContext& context, SandboxedExtractor& extraction) {
      return fetch_from_registry(source, context, extraction);
    });
  }

  InstalledEnvironment install_from(const WebSource& source) {
    return fetch([&](const FetchContext& context, SandboxedExtractor& extraction) {
      return fetch_from_archive(source, context, extraction);
    });
  }

  InstalledEnvironment install_from(const OpenStream& source) {
    return fetch([&](const FetchContext& context, SandboxedExtractor& extraction) {
      return fetch_from_archive(source, context, extraction);
    });
  }

  InstalledEnvironment install_from(const PackageSource& source) {
    request_.product = ExtractionProduct::distribution;
    request_.size = source.size;
    return fetch([&](const FetchContext& context, SandboxedExtractor& extraction) {
      return fetch_from_packages(source, context, extraction);
    });
  }

  /// An archive that is not pinned and has no artifacts, or no root file system, may be an image
  /// layout. The names in a plain tar show that at once. A compressed archive is unpacked to see
  /// its names, but only after it failed as an ordinary archive.
  InstalledEnvironment install_from(const PathSource& source) {
    std::optional<LayoutImage> image;
    const bool may_be_image = !is_pinned(environment_);
    if (is_container() && may_be_image) image = image_in_archive(source.path, nullptr);
    if (image) return install_from(*image);
    try {
      return fetch([&](const FetchContext& context, SandboxedExtractor& extraction) {
        return fetch_from_archive(source, context, extraction);
      });
    } catch (const Error& error) {
      if (error.code() == ErrorCode::integrity && may_be_image) {
        image = image_in_archive(source.path, &unpacking_);
      }
      if (!image) throw;
    }
    return install_from(*image);
  }

  using Stream = std::function<Provenance(const FetchContext&, SandboxedExtractor&)>;

  /// Fetches the artifacts and installs them. Another attempt follows when the session asks for it,
  /// or when a link came after its target, which the next attempt keeps.
  InstalledEnvironment fetch(const Stream& stream) {
    while (true) {
      session_.begin_attempt();
      Partials partials(layout_.partial_dir(), options_.network.keep_after);
      Transaction transaction(layout_, environment_);
      ByteCount bytes;
      try {
        InstalledEnvironment installed = extract(stream, transaction, partials, bytes);
        partials.discard();
        return installed;
      } catch (const TargetsMissing& missing) {
        partials.discard();
        learn(missing);
      } catch (Error& error) {
        add_disk_full_details(error, transaction, bytes);
        const bool restarts = session_.take_restart();
        if (restarts || !can_resume(error)) partials.discard();
        if (!restarts) throw;
      }
    }
  }

  /// Whether a later pull can use the downloaded bytes.
  static bool can_resume(const Error& error) {
    const bool is_transient = dynamic_cast<const TransientError*>(&error) != nullptr;
    return error.code() == (is_transient ? ErrorCode::network : ErrorCode::interrupted);
  }

  void learn(const TargetsMissing& missing) {
    if (std::holds_alternative<OpenStream>(*source_)) {
      throw Error(ErrorCode::integrity, missing.what(),
                  "standard input can be read once only: save the archive in a file, and add that");
    }
    if (++rereads_ > kMaxRereads) throw missing;
    request_.targets.insert(request_.targets.end(), missing.targets().begin(),
                            missing.targets().end());
    progress_.note("reading " + environment_.name + " once more: " +
                   std::string(kArtifactKinds[missing.targets().front().kind].name) +
                   " is a link to something in front of it");
  }

  /// For a full disk: the number of written bytes, which the transaction removes, and of missing
  /// ones.
  void add_disk_full_details(Error& error, const Transaction& transaction,
                             const ByteCount& bytes) const {
    if (!is_out_of_space(error)) return;
    const std::uint64_t outstanding = bytes.expected - std::min(bytes.expected, bytes.received);
    const std::string why = disk_full_details(
        layout_.root(), allocated_bytes_at(transaction.directory(), "."), outstanding);
    if (!why.empty()) error.add_context(why);
  }

  InstalledEnvironment extract(const Stream& stream, Transaction& transaction, Partials& partials,
                               ByteCount& bytes) {
    SandboxedExtractor extraction(
        executable_of(options_), transaction.open_candidates(), options_.limits,
        [&](std::string_view text) { progress_.note(text); }, request_);
    const std::stop_callback give_up(pull_.stop, [&] { extraction.abort(); });
    const FetchContext context{
        environment_.name, environment_.kind, options_.network, options_.limits, progress_,
        partials,          pull_.stop,        session_,         layout_.root(),  bytes,
        unpacking_};
    const Provenance provenance = stream(context, extraction);
    const std::vector<WrittenArtifact> artifacts = extraction.finish();
    if (pull_.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    transaction.keep(artifacts);
    return commit(transaction, provenance, artifacts);
  }

  InstalledEnvironment commit(Transaction& transaction, const Provenance& provenance,
                              const std::vector<WrittenArtifact>& artifacts) {
    progress_.committing();
    InstallRecord record = record_of(environment_, provenance, artifacts);
    if (is_container()) record.base = record_of_base(environment_, options_, stores_, pull_.stop);
    transaction.commit(record);
    const auto installation = find_installation(layout_, environment_);
    if (!installation) {
      throw Error(ErrorCode::failed, transaction.destination().string() +
                                         " was changed by another process during the install");
    }
    progress_.finished(environment_.name, provenance.received_bytes, installation->allocated_bytes);
    return installation->describe();
  }

  ProgressListener silence_;
  const StoreOptions& options_;
  const Stores& stores_;
  const CacheLayout& layout_;
  const Environment& environment_;
  const PullOptions& pull_;
  std::optional<ChosenSource> source_;
  ProgressListener& progress_;
  const Unpacking unpacking_;
  PullSession session_;
  ExtractionRequest request_{.product = is_container() ? ExtractionProduct::file_system
                                                       : ExtractionProduct::artifacts};
  int rereads_ = 0;
};

}  // namespace

std::filesystem::path executable_of(const StoreOptions& options) {
  return options.extractor.empty() ? PYRO_INSTALLED_EXECUTABLE : options.extractor;
}

Unpacking unpacking_in(const StoreOptions& options, ProgressListener& progress,
                       const std::stop_token& stop) {
  return {.extractor = executable_of(options),
          .limits = options.limits,
          .make_file =
              [root = options.cache_dir] {
                const CacheLayout layout(root);
                layout.check_root();
                const StagingDirectory staging(layout);
                return open_at(staging.descriptor(), "archive", O_RDWR | O_CREAT | O_EXCL, 0600,
                               staging.path_of("archive"));
              },
          .progress = progress,
          .stop = stop};
}

StoreOptions with_entry(const StoreOptions& options, const Environment& entry) {
  CatalogBuilder catalog(options.catalog);
  catalog.lay_over(entry);
  StoreOptions result = options;
  result.catalog = catalog.build();
  return result;
}

InstalledEnvironment install(const StoreOptions& options, const Environment& environment,
                             const PullOptions& pull, std::optional<ChosenSource> source) {
  require_compatible(environment);
  const Stores stores(options, warn_of(options, pull));
  stores.cache().check_root();
  // A repair verifies under the lock, once.
  if (pull.mode == PullMode::ensure) {
    if (auto installed = find_satisfying(environment, stores, pull)) return *installed;
  }
  try {
    return Pull(options, stores, environment, pull, std::move(source)).run();
  } catch (Error& error) {
    if (error.code() == ErrorCode::not_found) throw;
    error.add_context("cannot install " + environment.name);
    error.add_hint(cache_hint(error));
    throw;
  }
}

}  // namespace pyro
