// Verifies artifacts and prepared states on disk against their recorded digests.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/directories.h"
#include "base/files.h"
#include "base/fs_verity.h"
#include "store/install_record.h"
#include "store/installation.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

// Whether open(2) failed because no such file exists.
bool is_absence(int error_number) {
  return error_number == ENOENT || error_number == ENOTDIR || error_number == ELOOP ||
         error_number == ENXIO;
}

ArtifactReport check_artifact(int directory, const std::filesystem::path& path,
                              const InstallRecord::Artifact& expected,
                              const std::stop_token& stop) {
  const std::string name = path.filename().string();
  ArtifactReport report{.name = name, .verdict = Verdict::missing};
  const Fd fd(try_open(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && !is_absence(errno)) throw system_error("cannot open " + path.string(), errno);
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return report;
  report.size = static_cast<std::uint64_t>(status.st_size);
  report.verdict = Verdict::modified;
  if (*report.size != expected.size) return report;
  report.digest = file_verity(fd.get(), *report.size, name, stop);
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
bool is_of_interest(const ArtifactKind& kind, const InstallRecord& record,
                    const ArtifactReport& report) {
  return kind.required || record.artifacts.contains(std::string(kind.name)) ||
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

VerifyReport verify_at(int directory, const std::filesystem::path& path,
                       const Environment& environment, const std::stop_token& stop) {
  VerifyReport report{.name = environment.name, .version = environment.version};
  const auto record = InstallRecord::read(directory);
  if (!record || record->name != environment.name || record->version != environment.version) {
    report.verdict = Verdict::missing;
    return report;
  }
  for (const ArtifactKind& kind : kArtifactKinds) {
    const std::string name(kind.name);
    const auto expected = record->artifacts.find(name);
    ArtifactReport artifact = expected == record->artifacts.end()
                                  ? unverifiable(directory, name)
                                  : check_artifact(directory, path / name, expected->second, stop);
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

/// Verifies the state in `path`, open as `directory`.
std::vector<ArtifactReport> check_state(int directory, const std::filesystem::path& path,
                                        const std::stop_token& stop) {
  const auto manifest = read_small_file_at(directory, kManifestName, kMaxStateManifest);
  const auto recorded = InstallRecord::parse_artifacts(manifest.value_or(""));
  std::vector<ArtifactReport> reports;
  for (const char* const name : {kMemoryName, kDevicesName}) {
    const auto expected = recorded.find(name);
    reports.push_back(expected == recorded.end()
                          ? unverifiable(directory, name)
                          : check_artifact(directory, path / name, expected->second, stop));
  }
  return reports;
}

bool is_mine(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && status.st_uid == ::geteuid();
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
           check_artifact(directory, path / name, expected->second, {}).verdict == Verdict::ok;
  });
}

VerifyReport verify_installation(const CacheLayout& layout, const Environment& environment,
                                 const std::stop_token& stop) {
  const std::filesystem::path path = layout.install_dir(environment);
  const std::string name = path.filename().string();
  const Fd platform = layout.open_platform();
  while (true) {
    const Fd directory = platform ? try_open_directory(platform.get(), name) : Fd();
    if (!directory) {
      if (!is_absence(errno)) throw system_error("cannot open " + path.string(), errno);
      return {.name = environment.name,
              .version = environment.version,
              .verdict = Verdict::missing,
              .artifacts = {}};
    }
    layout.rights().guard(directory.get(), path);
    VerifyReport report = verify_at(directory.get(), path, environment, stop);
    // There is no lock, so it may be replaced or pruned while it is read: look again.
    if (badness(report.verdict) <= badness(Verdict::unverifiable) ||
        is_still_in(platform.get(), name, directory.get())) {
      return report;
    }
  }
}

bool is_as_saved(int directory, const std::filesystem::path& path) {
  return std::ranges::none_of(check_state(directory, path, {}), [](const ArtifactReport& file) {
    return badness(file.verdict) > badness(Verdict::unverifiable);
  });
}

void verify_states(const CacheLayout& layout, const Environment& environment, VerifyReport& report,
                   const std::stop_token& stop) {
  const std::filesystem::path folder =
      layout.prepared_dir() / CacheLayout::prepared_name(environment.name);
  const Fd states = layout.open(folder);
  if (!states) return;
  for (const std::string& network : sorted_names(states.get(), folder)) {
    const Fd state = try_open_directory(states.get(), network);
    if (!state || !is_mine(state.get())) continue;
    layout.rights().guard(state.get(), folder / network);
    auto files = check_state(state.get(), folder / network, stop);
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

VerifyReport EnvironmentStore::verify(std::string_view name, const std::stop_token& stop) const {
  const Environment& environment = options_.catalog.require(name);
  const Stores stores(options_);
  stores.check_roots();
  VerifyReport report;
  for (const CacheLayout& layout : stores.all()) {
    VerifyReport one = verify_installation(layout, environment, stop);
    if (&layout == &stores.cache() || !is_absent(one)) report = std::move(one);
    if (!is_absent(report)) break;
  }
  if (!report.artifacts.empty()) verify_states(stores.cache(), environment, report, stop);
  return report;
}

}  // namespace pyro
