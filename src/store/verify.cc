// Verifies artifacts and prepared states on disk against their recorded digests.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/directories.h"
#include "base/files.h"
#include "base/fs_verity.h"
#include "store/base_kernel.h"
#include "store/install_record.h"
#include "store/installation.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

constexpr std::string_view kVerifying = "verifying";

// Whether open(2) failed because no such file exists.
bool is_absence(int error_number) {
  return error_number == ENOENT || error_number == ENOTDIR || error_number == ELOOP ||
         error_number == ENXIO;
}

ArtifactReport check_artifact(int directory, const std::filesystem::path& path,
                              const InstallRecord::Artifact& expected, const std::stop_token& stop,
                              RunningOperation* operation) {
  const std::string name = path.filename().string();
  ArtifactReport report{.name = name, .verdict = Verdict::missing};
  const Fd fd(try_open(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && !is_absence(errno)) throw system_error("cannot open " + path.string(), errno);
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return report;
  report.size = static_cast<std::uint64_t>(status.st_size);
  report.verdict = Verdict::modified;
  if (*report.size != expected.size) return report;
  report.digest = file_verity(fd.get(), *report.size, name, stop, operation);
  if (*report.digest == expected.digest) report.verdict = Verdict::ok;
  return report;
}

ArtifactReport unverifiable(int directory, const std::string& name) {
  ArtifactReport report{.name = name, .verdict = Verdict::missing};
  struct stat status {};
  if (::fstatat(directory, name.c_str(), &status, 0) != 0 || !S_ISREG(status.st_mode)) {
    return report;
  }
  report.size = static_cast<std::uint64_t>(status.st_size);
  report.verdict = Verdict::unverifiable;
  return report;
}

// Every artifact that is required, recorded, or simply there.
bool is_of_interest(std::size_t artifact, const InstallRecord& record,
                    const ArtifactReport& report) {
  return is_required(artifact, record.kind) || record.artifacts.contains(report.name) ||
         report.verdict != Verdict::missing;
}

// From good to bad; an environment is as bad as its worst artifact.
int badness(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok:
      return 0;
    case Verdict::unverifiable:
      return 1;
    case Verdict::modified:
      return 2;
    case Verdict::missing:
      return 3;
  }
  return 3;
}

Verdict worse(Verdict one, Verdict other) {
  return badness(other) > badness(one) ? other : one;
}

/// The sum of the bytes that are read to verify these files.
std::uint64_t bytes_to_read(int directory,
                            const std::map<std::string, InstallRecord::Artifact>& recorded) {
  std::uint64_t total = 0;
  for (const auto& [name, artifact] : recorded) {
    struct stat status {};
    if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      total += data_bytes(status);
    }
  }
  return total;
}

VerifyReport verify_at(int directory, const std::filesystem::path& path,
                       const Environment& environment, const std::stop_token& stop,
                       ProgressListener* progress) {
  VerifyReport report{.name = environment.name, .version = environment.version};
  const auto record = InstallRecord::read(directory);
  if (!record || !record->is_of(environment)) {
    report.verdict = Verdict::missing;
    return report;
  }
  RunningOperation operation(progress, {.name = kVerifying,
                                        .subject = environment.name,
                                        .unit = ProgressUnit::bytes,
                                        .total = bytes_to_read(directory, record->artifacts)});
  for (std::size_t kind = 0; kind < kArtifactKinds.size(); ++kind) {
    const std::string name(kArtifactKinds[kind].name);
    const auto expected = record->artifacts.find(name);
    ArtifactReport artifact =
        expected == record->artifacts.end()
            ? unverifiable(directory, name)
            : check_artifact(directory, path / name, expected->second, stop, &operation);
    if (!is_of_interest(kind, *record, artifact)) continue;
    report.verdict = worse(report.verdict, artifact.verdict);
    report.artifacts.push_back(std::move(artifact));
  }
  // The recorded digests do not prove that it is the pinned image.
  if (differs_from_pin(*record, environment)) {
    report.verdict = worse(report.verdict, Verdict::unverifiable);
  }
  return report;
}

constexpr std::size_t kMaxStateManifest = std::size_t{1} << 20;

/// Verifies the state of a machine of `environment` in `path`, open as `directory`.
std::vector<ArtifactReport> check_state(int directory, const std::filesystem::path& path,
                                        std::string_view environment, const std::stop_token& stop,
                                        ProgressListener* progress) {
  const auto manifest = read_small_file_at(directory, kManifestName, kMaxStateManifest);
  const auto recorded = InstallRecord::parse_artifacts(manifest.value_or(""));
  RunningOperation operation(progress, {.name = kVerifying,
                                        .subject = environment,
                                        .detail = "prepared state",
                                        .unit = ProgressUnit::bytes,
                                        .total = bytes_to_read(directory, recorded)});
  std::vector<ArtifactReport> reports;
  for (const char* const name : {kMemoryName, kDevicesName, kDiskName}) {
    const auto expected = recorded.find(name);
    if (name == kDiskName && expected == recorded.end()) continue;
    reports.push_back(
        expected == recorded.end()
            ? unverifiable(directory, name)
            : check_artifact(directory, path / name, expected->second, stop, &operation));
  }
  return reports;
}

bool is_mine(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && status.st_uid == ::geteuid();
}

/// Adds the files of the base that have a recorded digest. What a package installed is the business
/// of its own manager.
void verify_base(const Environment& container, const StoreOptions& options, const Stores& stores,
                 VerifyReport& report, const std::stop_token& stop, ProgressListener* progress) {
  const auto name = Bases(options, stores).name_for(container);
  const Environment* const base = name ? options.catalog.find(*name) : nullptr;
  const auto lease = base != nullptr ? stores.acquire_lease(*base) : std::nullopt;
  if (!lease) return;
  auto recorded = lease->installation.record.artifacts;
  recorded.erase(std::string(kArtifactKinds[kRootfs].name));
  RunningOperation operation(progress, {.name = kVerifying,
                                        .subject = container.name,
                                        .detail = "its base",
                                        .unit = ProgressUnit::bytes,
                                        .total = bytes_to_read(lease->directory.get(), recorded)});
  for (const auto& [file, expected] : recorded) {
    ArtifactReport artifact = check_artifact(
        lease->directory.get(), lease->installation.directory / file, expected, stop, &operation);
    artifact.name = "base/" + file;
    // A missing file does not make the container missing.
    if (artifact.verdict != Verdict::ok) report.verdict = worse(report.verdict, Verdict::modified);
    report.artifacts.push_back(std::move(artifact));
  }
}

bool is_absent(const VerifyReport& report) {
  return report.verdict == Verdict::missing && report.artifacts.empty();
}

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::ok:
      return "ok";
    case Verdict::modified:
      return "modified";
    case Verdict::missing:
      return "missing";
    case Verdict::unverifiable:
      return "unverifiable";
  }
  return "missing";
}

bool is_as_recorded(int directory, const std::filesystem::path& path, const InstallRecord& record) {
  return std::ranges::all_of(kArtifactKinds, [&](const ArtifactKind& kind) {
    const std::string name(kind.name);
    const auto expected = record.artifacts.find(name);
    return expected == record.artifacts.end() ||
           check_artifact(directory, path / name, expected->second, {}, nullptr).verdict ==
               Verdict::ok;
  });
}

VerifyReport verify_installation(const CacheLayout& layout, const Environment& environment,
                                 const std::stop_token& stop, ProgressListener* progress) {
  const std::filesystem::path path = layout.install_dir(environment);
  const std::string name = path.filename().string();
  const Fd installs = layout.open_installs(environment.kind);
  while (true) {
    const Fd directory = installs ? try_open_directory(installs.get(), name) : Fd();
    if (!directory) {
      if (!is_absence(errno)) throw system_error("cannot open " + path.string(), errno);
      return {.name = environment.name,
              .version = environment.version,
              .verdict = Verdict::missing,
              .artifacts = {}};
    }
    layout.rights().guard(directory.get(), path);
    VerifyReport report = verify_at(directory.get(), path, environment, stop, progress);
    // There is no lock, so it may be replaced or pruned while it is read: look again.
    if (badness(report.verdict) <= badness(Verdict::unverifiable) ||
        is_still_in(installs.get(), name, directory.get())) {
      return report;
    }
  }
}

bool is_as_saved(int directory, const std::filesystem::path& path) {
  return std::ranges::none_of(check_state(directory, path, {}, {}, nullptr),
                              [](const ArtifactReport& file) {
                                return badness(file.verdict) > badness(Verdict::unverifiable);
                              });
}

void verify_states(const CacheLayout& layout, const Environment& environment, VerifyReport& report,
                   const std::stop_token& stop, ProgressListener* progress) {
  const std::filesystem::path folder =
      layout.prepared_dir() / CacheLayout::prepared_name(environment.name);
  const Fd states = layout.open(folder);
  if (!states) return;
  for (const std::string& network : sorted_names(states.get(), folder)) {
    const Fd state = try_open_directory(states.get(), network);
    if (!state || !is_mine(state.get())) continue;
    layout.rights().guard(state.get(), folder / network);
    auto files = check_state(state.get(), folder / network, environment.name, stop, progress);
    if (!is_still_in(states.get(), network, state.get())) continue;  // replaced or removed
    for (ArtifactReport& file : files) {
      file.name = (layout.prepared_dir().filename() / network / file.name).string();
      // A missing state file does not make the environment missing.
      const bool is_bad = badness(file.verdict) > badness(Verdict::unverifiable);
      report.verdict = worse(report.verdict, is_bad ? Verdict::modified : file.verdict);
      report.artifacts.push_back(std::move(file));
    }
  }
}

VerifyReport EnvironmentStore::verify(std::string_view name, const std::stop_token& stop,
                                      ProgressListener* progress) const {
  const Environment& environment = options_.catalog.require(name);
  const Stores stores(options_);
  stores.check_roots();
  VerifyReport report;
  for (const CacheLayout& layout : stores.all()) {
    VerifyReport one = verify_installation(layout, environment, stop, progress);
    if (&layout == &stores.cache() || !is_absent(one)) report = std::move(one);
    if (!is_absent(report)) break;
  }
  if (report.artifacts.empty()) return report;
  verify_states(stores.cache(), environment, report, stop, progress);
  if (environment.kind == EnvironmentKind::container) {
    verify_base(environment, options_, stores, report, stop, progress);
  }
  return report;
}

}  // namespace pyro
