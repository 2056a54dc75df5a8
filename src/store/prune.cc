// Prune: removes installs, states and files that are no longer needed.

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <tuple>

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
using Clock = std::chrono::system_clock;

enum class Fate { keep, remove, other_catalog };

bool is_loaded(const Catalog& catalog, const fs::path& file) {
  return std::ranges::find(catalog.files(), file) != catalog.files().end();
}

/// One run over a cache. Of the stores only the installs are read: their prepared states are kept.
class Pruner {
 public:
  Pruner(const Stores& stores, const StoreOptions& store, const PruneOptions& options)
      : stores_(stores),
        layout_(stores.cache()),
        catalog_(store.catalog),
        options_(options),
        bases_(store, stores) {
    report_.dry_run = options.dry_run;
  }

  PruneReport run() {
    prune_leftovers(layout_.staging_dir());
    prune_leftovers(layout_.partial_dir());
    prune_installs();
    prune_prepared();
    forget_uses();
    if (!options_.dry_run) UseLock::remove_stale(layout_);
    std::ranges::sort(report_.deleted_environment_dirs);
    return std::move(report_);
  }

 private:
  struct Folder {
    InstallsFolder installs;
    EnvironmentKind kind;

    /// As reports have it: alone, or with its folder where that is not the platform's.
    [[nodiscard]] fs::path label(const std::string& name) const {
      return kind == EnvironmentKind::environment ? fs::path(name)
                                                  : installs.path.filename() / name;
    }
  };

  // Removes staging directories and partial files that no live process has locked.
  void prune_leftovers(const fs::path& folder) {
    const Fd directory = layout_.open(folder);
    if (!directory) return could_not_open(folder.filename(), errno);
    for (const std::string& name : sorted_names(directory.get(), folder)) {
      const Fd entry = open_entry(directory.get(), name);
      // Without a descriptor it is unknown whether it is in use.
      if (!entry && !is_of_another_kind(errno)) {
        could_not_open(folder.filename() / name, errno);
        continue;
      }
      std::optional<UseLock> use;
      try {
        if (entry && !claim(entry.get(), folder / name, use)) continue;
      } catch (const Error& error) {
        report_.failed.push_back({folder.filename() / name, error.what()});
        continue;
      }
      if (entry && !is_still_in(directory.get(), name, entry.get())) continue;
      remove(
          folder.filename() / name, [&] { remove_tree_at(directory.get(), name, folder / name); },
          allocated_bytes_at(directory.get(), name));
    }
  }

  /// Locks `entry`; false while another process has it locked. A directory stays locked as long as
  /// `use`, a file as long as it is open.
  bool claim(int entry, const fs::path& path, std::optional<UseLock>& use) const {
    struct stat status {};
    if (::fstat(entry, &status) != 0 || !S_ISDIR(status.st_mode)) {
      return try_lock(entry, LockKind::exclusive, path);
    }
    if (options_.dry_run) return !UseLock::is_held(layout_, entry);
    const Fd locks = layout_.make(layout_.locks_dir());
    use = UseLock::try_acquire(locks.get(), entry, LockKind::exclusive);
    return use.has_value();
  }

  void prune_installs() {
    for (const EnvironmentKind kind : kEnvironmentKinds) {
      const fs::path path = layout_.installs_dir(kind);
      Fd fd = layout_.open(path);
      if (!fd) {
        could_not_open(path.filename(), errno);
        continue;
      }
      const Folder& folder = folders_.emplace_back(Folder{{path, std::move(fd)}, kind});
      for (const std::string& name : sorted_names(folder.installs.fd.get(), path)) {
        prune_entry(folder, name);
      }
    }
    prune_kept();
  }

  // Removes prepared states of environments that are not installed in any version. A machine that
  // resumed from one has it open.
  void prune_prepared() {
    const fs::path folder = layout_.prepared_dir();
    const Fd prepared = layout_.open(folder);
    if (!prepared) return could_not_open(folder.filename(), errno);
    const auto wanted = prepared_names_of_installs();
    if (!wanted) return;
    for (const std::string& name : sorted_names(prepared.get(), folder)) {
      if (std::ranges::find(*wanted, name) != wanted->end()) continue;
      remove(
          folder.filename() / name, [&] { remove_tree_at(prepared.get(), name, folder / name); },
          allocated_bytes_at(prepared.get(), name));
    }
  }

  /// Nothing if installs cannot be read: then any state may belong to one.
  [[nodiscard]] std::optional<std::vector<std::string>> prepared_names_of_installs() const {
    std::vector<std::string> names{kInstalledKernelName};
    for (const CacheLayout& layout : stores_.all()) {
      if (!add_prepared_names(layout, names)) return std::nullopt;
    }
    return names;
  }

  bool add_prepared_names(const CacheLayout& layout, std::vector<std::string>& names) const {
    for (const EnvironmentKind kind : kEnvironmentKinds) {
      const Folder folder{{layout.installs_dir(kind), layout.open(layout.installs_dir(kind))},
                          kind};
      if (!folder.installs.fd && errno == ENOENT) continue;
      if (!folder.installs.fd || !add_prepared_names(layout, folder, names)) return false;
    }
    return true;
  }

  bool add_prepared_names(const CacheLayout& layout, const Folder& folder,
                          std::vector<std::string>& names) const {
    const int installs = folder.installs.fd.get();
    for (const std::string& name : sorted_names(installs, folder.installs.path)) {
      const auto& gone = report_.deleted_environment_dirs;  // as a dry run has it
      const bool is_gone = std::ranges::find(gone, folder.label(name).string()) != gone.end();
      if (&layout == &layout_ && is_gone) continue;
      const Fd directory = try_open_directory(installs, name);
      if (!directory && errno != ENOENT && !is_of_another_kind(errno)) return false;
      const auto record = directory ? InstallRecord::read(directory.get()) : std::nullopt;
      if (record) names.push_back(CacheLayout::prepared_name(record->name));
    }
    return true;
  }

  // Removes the times of use of installs that others removed.
  void forget_uses() const {
    const Fd used = layout_.open(layout_.used_dir());
    if (!used || options_.dry_run) return;
    for (const std::string& name : directory_names(used.get(), layout_.used_dir())) {
      const bool is_gone = std::ranges::all_of(kEnvironmentKinds, [&](EnvironmentKind kind) {
        struct stat status {};
        const fs::path install = layout_.installs_dir(kind) / name;
        return ::lstat(install.c_str(), &status) != 0 && errno == ENOENT;
      });
      if (is_gone) forget_use(layout_, name);
    }
  }

  void prune_entry(const Folder& folder, const std::string& name) {
    const int installs = folder.installs.fd.get();
    const fs::path label = folder.label(name);
    if (name.starts_with(kPyroMcpPartialPrefix) && folder.kind == EnvironmentKind::environment) {
      remove(
          label, [&] { remove_tree_at(installs, name, folder.installs.path / name); },
          allocated_bytes_at(installs, name));
      return;
    }
    const Fd directory = try_open_directory(installs, name);
    if (!directory) return could_not_open(label, errno);
    try {
      prune_directory(folder, directory.get(), name);
    } catch (const Error& error) {  // wrong rights: the owner has to correct them
      report_.failed.push_back({label.string(), error.what()});
    }
  }

  void prune_directory(const Folder& folder, int directory, const std::string& name) {
    const auto record = InstallRecord::read(directory);
    switch (fate_of(folder, directory, name, record)) {
      case Fate::keep:
        kept_.push_back(kept_install(folder, name, *record));
        return;
      case Fate::other_catalog:
        report_.skipped_other_catalog.push_back(folder.label(name).string());
        kept_bytes_ += kept_install(folder, name, *record).bytes;
        if (record->base) ++containers_of_[record->base->name];
        return;
      case Fate::remove:
        prune_install(folder, directory, name);
        return;
    }
  }

  /// A good install.
  struct KeptInstall {
    const Folder* folder;
    std::string name;
    std::string environment;
    std::optional<std::string> base;  ///< Of a container.
    Clock::time_point last_use;
    std::uint64_t bytes = 0;  ///< With its prepared states.
  };

  [[nodiscard]] KeptInstall kept_install(const Folder& folder, const std::string& name,
                                         const InstallRecord& record) {
    const Environment* const container =
        record.kind == EnvironmentKind::container ? catalog_.find(record.name) : nullptr;
    return {.folder = &folder,
            .name = name,
            .environment = record.name,
            .base = container != nullptr ? bases_.name_for(*container) : std::nullopt,
            .last_use = last_use(layout_, name, record),
            .bytes = allocated_bytes_at(folder.installs.fd.get(), name) +
                     bytes_of(usage_of_states(layout_, record.name))};
  }

  // Removes good installs that the options select, least recently used first. The use of a
  // container is one of its base, which comes behind it and stays as long as one of them does.
  void prune_kept() {
    count_containers_of_stores();
    std::map<std::string, Clock::time_point> used_as_base;
    for (const KeptInstall& install : kept_) {
      kept_bytes_ += install.bytes;
      if (!install.base) continue;
      ++containers_of_[*install.base];
      Clock::time_point& time = used_as_base[*install.base];
      time = std::max(time, install.last_use);
    }
    std::ranges::sort(kept_, {}, [&](const KeptInstall& install) {
      const auto found = used_as_base.find(install.environment);
      const bool is_base = found != used_as_base.end();
      return std::tuple(is_base ? std::max(install.last_use, found->second) : install.last_use,
                        is_base, install.name);
    });
    for (const KeptInstall& install : kept_) {
      if (!is_to_go(install)) continue;
      const Folder& folder = *install.folder;
      if (containers_of_[install.environment] > 0) {
        report_.skipped_bases.push_back(folder.label(install.name).string());
        continue;
      }
      const Fd directory = try_open_directory(folder.installs.fd.get(), install.name);
      if (!directory) {
        could_not_open(folder.label(install.name), errno);
      } else if (prune_install(folder, directory.get(), install.name)) {
        kept_bytes_ -= install.bytes;
        if (install.base) --containers_of_[*install.base];
      }
    }
  }

  // The installs in stores stay, and boot kernels of the cache, too.
  void count_containers_of_stores() {
    for (const Environment& environment : catalog_.environments()) {
      if (environment.kind == EnvironmentKind::environment || !is_in_store(environment)) continue;
      if (const auto base = bases_.name_for(environment)) ++containers_of_[*base];
    }
  }

  [[nodiscard]] bool is_in_store(const Environment& environment) const try {
    const auto found = stores_.find(environment);
    return found && &found->layout != &layout_;
  } catch (const Error&) {  // wrong rights: nothing boots it
    return false;
  }

  [[nodiscard]] bool is_to_go(const KeptInstall& install) const {
    const bool is_too_much = options_.keep_storage && kept_bytes_ > *options_.keep_storage;
    // Compares ages: a limit of any length is representable.
    const auto age = std::chrono::duration_cast<std::chrono::seconds>(now_ - install.last_use);
    if (options_.older_than && age > *options_.older_than) return true;
    if (options_.older_than || options_.keep_storage) return is_too_much;
    return options_.all;
  }

  Fate fate_of(const Folder& folder, int directory, const std::string& name,
               const std::optional<InstallRecord>& record) const {
    if (!record) return Fate::remove;
    const Environment* environment = catalog_.find(record->name);
    if (environment != nullptr && record->is_of(*environment) && record->kind == folder.kind) {
      const bool complete =
          find_installation_at(layout_, directory, folder.installs.path / name, *environment)
              .has_value();
      return complete ? Fate::keep : Fate::remove;
    }
    const bool elsewhere = record->catalog_file && !is_loaded(catalog_, *record->catalog_file);
    return elsewhere && !options_.unknown ? Fate::other_catalog : Fate::remove;
  }

  bool prune_install(const Folder& folder, int directory, const std::string& name) {
    const std::uint64_t bytes = allocated_bytes_at(folder.installs.fd.get(), name);
    const fs::path label = folder.label(name);
    if (options_.dry_run && is_in_use(layout_, name, directory)) return in_use(label.string());
    return remove(
        label,
        [&] {
          auto removal = InstallRemoval::begin(layout_, folder.installs, name, directory);
          if (!removal) throw InUse{};
          removal->commit();
        },
        bytes);
  }

  struct InUse {};

  /// Whether it is gone.
  template <typename Action>
  bool remove(const fs::path& name, Action action, std::uint64_t bytes) {
    try {
      if (!options_.dry_run) {
        const RunningOperation operation(options_.progress,
                                         {.name = "removing", .subject = name.native()});
        action();
      }
      report_.deleted_environment_dirs.push_back(name.string());
      report_.bytes_reclaimed += bytes;
      return true;
    } catch (const InUse&) {
      return in_use(name.string());
    } catch (const Error& error) {
      report_.failed.push_back({name.string(), error.what()});
      return false;
    }
  }

  // A file of another kind or a link is not ours.
  void could_not_open(const fs::path& name, int error_number) {
    if (error_number == ENOENT || is_of_another_kind(error_number)) return;
    report_.failed.push_back({name.string(), system_error("cannot open it", error_number).what()});
  }

  // The errors of open(2) for links, for files that are no directory, and for sockets.
  static bool is_of_another_kind(int error_number) {
    return error_number == ELOOP || error_number == ENOTDIR || error_number == ENXIO;
  }

  bool in_use(const std::string& name) {
    report_.skipped_in_use.push_back(name);
    return false;
  }

  static Fd open_entry(int directory, const std::string& name) {
    return Fd(try_open(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  }

  const Stores& stores_;
  const CacheLayout& layout_;
  const Catalog& catalog_;
  const PruneOptions& options_;
  const Clock::time_point now_ = Clock::now();
  std::deque<Folder> folders_;  // their addresses stay
  std::vector<KeptInstall> kept_;
  std::uint64_t kept_bytes_ = 0;
  Bases bases_;
  std::map<std::string, int> containers_of_;  // installs that boot its kernel
  PruneReport report_;
};

}  // namespace

PruneReport EnvironmentStore::prune(const PruneOptions& options) {
  const Stores stores(options_);
  stores.cache().check_root();
  return Pruner(stores, options_, options).run();
}

}  // namespace pyro
