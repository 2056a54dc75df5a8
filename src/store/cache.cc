// The content of the cache: disk usage, removal of one environment.
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <set>
#include <utility>

#include "base/directories.h"
#include "base/files.h"
#include "pyro/environment_store.h"
#include "store/base_kernel.h"
#include "store/install_record.h"
#include "store/installation.h"
#include "store/locks.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

/// Counts disk space once.
class UsageCounter {
 public:
  UsageCounter(const StoreOptions& options, const Stores& stores)
      : layout_(stores.cache()), catalog_(options.catalog), bases_(options, stores) {}

  CacheUsage run() {
    const Fd root = layout_.open(layout_.root());
    if (!root && errno == ENOENT) return {};
    if (!root) throw system_error("cannot open " + layout_.root().string(), errno);
    for (const EnvironmentKind kind : kEnvironmentKinds) count_installs(root.get(), kind);
    usage_.partial_bytes = bytes_in(root.get(), layout_.partial_dir());
    usage_.staging_bytes = bytes_in(root.get(), layout_.staging_dir());
    usage_.total_bytes = allocated_bytes_at(root.get(), ".");
    std::uint64_t named = usage_.partial_bytes + usage_.staging_bytes;
    for (const InstallUsage& install : usage_.installs) {
      named += install.disk_bytes + bytes_of(install.states);
    }
    // Other processes may have written meanwhile.
    usage_.total_bytes = std::max(usage_.total_bytes, named);
    usage_.other_bytes = usage_.total_bytes - named;
    return std::move(usage_);
  }

 private:
  static std::uint64_t bytes_in(int root, const fs::path& folder) {
    std::uint64_t total = 0;
    const Fd directory = try_open_directory(root, folder.filename().string());
    if (!directory) return 0;
    for (const std::string& name : directory_names(directory.get(), folder)) {
      total += allocated_bytes_at(directory.get(), name);
    }
    return total;
  }

  void count_installs(int root, EnvironmentKind kind) {
    const fs::path folder = layout_.installs_dir(kind);
    const Fd installs = try_open_directory(root, folder.filename().string());
    if (!installs) return;
    for (const std::string& name : sorted_names(installs.get(), folder)) {
      const Fd directory = try_open_directory(installs.get(), name);
      if (directory) count_install(installs.get(), directory.get(), name);
    }
  }

  void count_install(int installs, int directory, const std::string& name) {
    InstallUsage usage{.directory = name, .disk_bytes = allocated_bytes_at(installs, name)};
    if (const auto record = InstallRecord::read(directory)) {
      usage.name = record->name;
      usage.version = record->version;
      usage.last_used = last_use(layout_, name, *record);
      usage.base = base_of(*record);
      if (counted_.insert(CacheLayout::prepared_name(record->name)).second) {
        usage.states = usage_of_states(layout_, record->name);
      }
    }
    usage_.installs.push_back(std::move(usage));
  }

  /// The recorded one where the catalog does not have the container.
  std::optional<std::string> base_of(const InstallRecord& record) {
    if (record.kind == EnvironmentKind::environment) return std::nullopt;
    const Environment* const environment = catalog_.find(record.name);
    if (environment != nullptr) return bases_.name_for(*environment);
    return record.base ? std::optional(record.base->name) : std::nullopt;
  }

  const CacheLayout& layout_;
  const Catalog& catalog_;
  Bases bases_;
  std::set<std::string> counted_;  // names of prepared states
  CacheUsage usage_;
};

/// Removes one environment from the cache.
class EnvironmentRemoval {
 public:
  EnvironmentRemoval(const CacheLayout& layout, const Environment& environment)
      : layout_(layout), environment_(environment) {}

  RemovalReport run(ProgressListener* progress) {
    const RunningOperation operation(progress, {.name = "removing", .subject = environment_.name});
    // All are locked before the first is removed: if one is in use, nothing changes.
    std::deque<InstallsFolder> folders;
    std::vector<Install> installs;
    for (const EnvironmentKind kind : kEnvironmentKinds) {
      const fs::path path = layout_.installs_dir(kind);
      const InstallsFolder& folder = folders.emplace_back(InstallsFolder{path, layout_.open(path)});
      if (!folder.fd) continue;
      for (const std::string& name : sorted_names(folder.fd.get(), path)) {
        if (auto install = lock_if_matching(folder, name)) installs.push_back(std::move(*install));
      }
    }
    for (Install& install : installs) {
      install.removal.commit();
      add(std::move(install.name), install.bytes);
    }
    remove_prepared();
    return std::move(report_);
  }

 private:
  struct Install {
    std::string name;
    std::uint64_t bytes;
    Fd directory;  ///< Locked.
    InstallRemoval removal;
  };

  std::optional<Install> lock_if_matching(const InstallsFolder& folder,
                                          const std::string& name) const {
    Fd directory = try_open_directory(folder.fd.get(), name);
    if (!directory || !is_match(directory.get(), name)) return std::nullopt;
    auto removal = InstallRemoval::begin(layout_, folder, name, directory.get());
    if (!removal) {
      throw Error(ErrorCode::busy,
                  "environment '" + environment_.name + "' is in use" +
                      shown(users_of(layout_, name, directory.get())),
                  "try again when no machine runs from it ('pyro ps') and no pull is under way");
    }
    return Install{name, allocated_bytes_at(folder.fd.get(), name), std::move(directory),
                   std::move(*removal)};
  }

  /// " by the processes 12, 34".
  static std::string shown(const std::vector<int>& processes) {
    constexpr std::size_t kMostShown = 8;
    std::string text = processes.size() == 1 ? " by process " : " by the processes ";
    for (std::size_t i = 0; i < std::min(processes.size(), kMostShown); ++i) {
      text += (i > 0 ? ", " : "") + std::to_string(processes[i]);
    }
    if (processes.size() > kMostShown) text += ", ...";
    return processes.empty() ? "" : text;
  }

  [[nodiscard]] bool is_match(int directory, const std::string& name) const {
    const auto record = InstallRecord::read(directory);
    return record ? record->name == environment_.name
                  : name == layout_.install_dir(environment_).filename();
  }

  void remove_prepared() {
    const Fd folder = layout_.open(layout_.prepared_dir());
    const std::string name = CacheLayout::prepared_name(environment_.name);
    struct stat status {};
    if (!folder || ::fstatat(folder.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return;
    const std::uint64_t bytes = allocated_bytes_at(folder.get(), name);
    remove_tree_at(folder.get(), name, layout_.prepared_dir() / name);
    add((layout_.prepared_dir().filename() / name).string(), bytes);
  }

  void add(std::string name, std::uint64_t bytes) {
    report_.removed.push_back(std::move(name));
    report_.bytes_reclaimed += bytes;
  }

  const CacheLayout& layout_;
  const Environment& environment_;
  RemovalReport report_;
};

bool is_usable(const Environment& environment, const Stores& stores) try {
  return stores.find(environment).has_value();
} catch (const Error&) {  // wrong rights
  return false;
}

/// The installed containers whose base is not installed, nor any other kernel in its place.
std::string containers_without_kernel(const StoreOptions& options, const Stores& stores) {
  Bases bases(options, stores);
  std::string names;
  for (const Environment& environment : options.catalog.environments()) {
    if (environment.kind == EnvironmentKind::environment) continue;
    if (!is_usable(environment, stores)) continue;
    const auto base = bases.name_for(environment);
    const Environment* const named = base ? options.catalog.find(*base) : nullptr;
    const bool has_kernel = base && (named == nullptr || is_usable(*named, stores));
    if (!has_kernel) (names += names.empty() ? "" : ", ") += environment.name;
  }
  return names;
}

}  // namespace

CacheUsage EnvironmentStore::usage() const {
  const Stores stores(options_);
  stores.cache().check_root();
  return UsageCounter(options_, stores).run();
}

RemovalReport EnvironmentStore::remove(std::string_view name, ProgressListener* progress) {
  const Environment& environment = options_.catalog.require(name);
  const Stores stores(options_);
  stores.cache().check_root();
  RemovalReport report = EnvironmentRemoval(stores.cache(), environment).run(progress);
  const auto elsewhere = stores.find(environment);
  const bool was_base =
      environment.kind == EnvironmentKind::environment && !report.removed.empty() && !elsewhere;
  const std::string containers =
      was_base ? containers_without_kernel(options_, stores) : std::string();
  if (!containers.empty()) {
    stores.cache().rights().warn("no kernel is left for the container images " + containers +
                                 ": install one, or name one with --base or PYRO_BASE");
  }
  if (!elsewhere) return report;
  const std::string remains = "environment '" + environment.name + "' is in the store " +
                              elsewhere->layout.root().string() + " and is not removed from there";
  if (report.removed.empty()) {
    throw Error(ErrorCode::failed, remains, "stores are only read; see --store");
  }
  stores.cache().rights().warn(remains);
  return report;
}

}  // namespace pyro
