// Removes from the cache what no longer serves.
#include "store/prune.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "base/file_lock.h"
#include "base/files.h"
#include "store/install_record.h"
#include "store/installation.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

enum class Fate { keep, remove, other_catalog };

bool is_loaded(const Catalog& catalog, const fs::path& file) {
  return std::ranges::find(catalog.files(), file) != catalog.files().end();
}

/// One run over a cache.
class Pruner {
 public:
  Pruner(const CacheLayout& layout, const Catalog& catalog, const PruneOptions& options)
      : layout_(layout), catalog_(catalog), options_(options) {
    report_.dry_run = options.dry_run;
  }

  PruneReport run() {
    prune_leftovers(layout_.staging_dir());
    prune_leftovers(layout_.partial_dir());
    prune_installs();
    prune_prepared();
    std::ranges::sort(report_.deleted_environment_dirs);
    return std::move(report_);
  }

 private:
  // Staging directories and partial files: litter unless a live process has them locked.
  void prune_leftovers(const fs::path& folder) {
    const Fd directory = open_if_there(folder);
    if (!directory) return could_not_open(folder.filename(), errno);
    for (const std::string& name : sorted_names(directory.get(), folder)) {
      const Fd entry = open_entry(directory.get(), name);
      // Without a descriptor nobody can say whether it is in use.
      if (!entry && !is_of_another_kind(errno)) {
        could_not_open(folder.filename() / name, errno);
        continue;
      }
      if (entry &&
          (!try_lock_directory(entry.get()) || !is_still(directory.get(), name, entry.get()))) {
        continue;
      }
      remove(
          folder.filename() / name, [&] { remove_tree_at(directory.get(), name, folder / name); },
          allocated_bytes_at(directory.get(), name));
    }
  }

  void prune_installs() {
    const fs::path folder = layout_.platform_dir();
    const Fd platform = open_if_there(folder);
    if (!platform) return could_not_open(folder.filename(), errno);
    for (const std::string& name : sorted_names(platform.get(), folder)) {
      prune_entry(platform.get(), name);
    }
  }

  // Saved states of what is installed no longer, in any version. Who goes on from one has it open.
  void prune_prepared() {
    const fs::path folder = layout_.prepared_dir();
    const Fd prepared = open_if_there(folder);
    if (!prepared) return could_not_open(folder.filename(), errno);
    const std::vector<std::string> wanted = prepared_names_of_installs();
    for (const std::string& name : sorted_names(prepared.get(), folder)) {
      if (std::ranges::find(wanted, name) != wanted.end()) continue;
      remove(
          folder.filename() / name, [&] { remove_tree_at(prepared.get(), name, folder / name); },
          allocated_bytes_at(prepared.get(), name));
    }
  }

  [[nodiscard]] std::vector<std::string> prepared_names_of_installs() const {
    std::vector<std::string> names;
    const fs::path folder = layout_.platform_dir();
    const Fd platform = open_if_there(folder);
    if (!platform) return names;
    for (const std::string& name : sorted_names(platform.get(), folder)) {
      const auto& gone = report_.deleted_environment_dirs;  // as a dry run has it
      if (std::ranges::find(gone, name) != gone.end()) continue;
      const Fd directory(
          ::openat(platform.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      const auto record = directory ? InstallRecord::read(directory.get()) : std::nullopt;
      if (record) names.push_back(CacheLayout::prepared_name(record->name));
    }
    return names;
  }

  void prune_entry(int platform, const std::string& name) {
    if (name.starts_with(kReferencePartialPrefix)) {
      return remove(
          name, [&] { remove_tree_at(platform, name, layout_.platform_dir() / name); },
          allocated_bytes_at(platform, name));
    }
    const Fd directory(
        ::openat(platform, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return could_not_open(name, errno);
    switch (fate_of(directory.get(), name)) {
      case Fate::keep:
        return;
      case Fate::other_catalog:
        report_.skipped_other_catalog.push_back(name);
        return;
      case Fate::remove:
        return remove_install(platform, directory.get(), name);
    }
  }

  Fate fate_of(int directory, const std::string& name) const {
    const auto record = InstallRecord::read(directory);
    if (!record) return Fate::remove;
    const Environment* environment = catalog_.find(record->name);
    if (environment != nullptr && environment->version == record->version) {
      const bool complete = find_installation_at(directory, layout_.platform_dir() / name,
                                                 record->name, record->version)
                                .has_value();
      return complete ? Fate::keep : Fate::remove;
    }
    const bool elsewhere = record->catalog_file && !is_loaded(catalog_, *record->catalog_file);
    return elsewhere && !options_.unknown ? Fate::other_catalog : Fate::remove;
  }

  // Under the environment's lock, as a pull may be about to replace it; out of its place in one
  // step, so that nobody sees half an install.
  void remove_install(int platform, int directory, const std::string& name) {
    const std::uint64_t bytes = allocated_bytes_at(platform, name);
    if (options_.dry_run) {
      if (is_locked(name, directory)) return in_use(name);
      return remove(
          name, [] {}, bytes);
    }
    remove(
        name,
        [&] {
          const Fd locks = open_own(layout_.locks_dir());
          const std::string lock_name = CacheLayout::lock_name(name);
          const auto lock =
              FileLock::try_acquire(locks.get(), lock_name, layout_.locks_dir() / lock_name);
          if (!lock || !try_lock_directory(directory)) throw InUse{};
          if (!is_still(platform, name, directory)) throw InUse{};
          const Fd staging = open_own(layout_.staging_dir());
          move_out(platform, name, staging.get());
          remove_tree_at(staging.get(), name, layout_.staging_dir() / name);
        },
        bytes);
  }

  struct InUse {};

  template <typename Action>
  void remove(const fs::path& name, Action action, std::uint64_t bytes) {
    try {
      if (!options_.dry_run) action();
      report_.deleted_environment_dirs.push_back(name.string());
      report_.bytes_reclaimed += bytes;
    } catch (const InUse&) {
      in_use(name.string());
    } catch (const Error& error) {
      report_.failed.push_back({name.string(), error.what()});
    }
  }

  // A name of another kind is not ours: a file or a link that somebody put there.
  void could_not_open(const fs::path& name, int error_number) {
    if (error_number == ENOENT || is_of_another_kind(error_number)) return;
    report_.failed.push_back({name.string(), system_error("cannot open it", error_number).what()});
  }

  // What open(2) says of links, of what is no directory, and of sockets.
  static bool is_of_another_kind(int error_number) {
    return error_number == ELOOP || error_number == ENOTDIR || error_number == ENXIO;
  }

  void in_use(const std::string& name) { report_.skipped_in_use.push_back(name); }

  bool is_locked(const std::string& name, int directory) const {
    const Fd lock(::open((layout_.locks_dir() / CacheLayout::lock_name(name)).c_str(),
                         O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    const bool pulled = lock && ::flock(lock.get(), LOCK_SH | LOCK_NB) != 0;
    return pulled || !try_lock_directory(directory);
  }

  // Between looking at it and locking it, a pull may have put another install in its place.
  static bool is_still(int platform, const std::string& name, int directory) {
    struct stat opened {};
    struct stat there {};
    return ::fstat(directory, &opened) == 0 &&
           ::fstatat(platform, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           same_file(opened, there);
  }

  void move_out(int platform, const std::string& name, int staging) const {
    remove_tree_at(staging, name, layout_.staging_dir() / name);
    if (::renameat(platform, name.c_str(), staging, name.c_str()) != 0) {
      throw system_error("cannot remove " + (layout_.platform_dir() / name).string(), errno);
    }
    sync_file(platform, layout_.platform_dir());
  }

  // One of the cache's folders; a link in its place would lead out of the cache.
  static Fd open_own(const fs::path& folder) {
    make_directories(folder);
    return open_at(AT_FDCWD, folder.string(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, folder);
  }

  static Fd open_if_there(const fs::path& folder) {
    return Fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }

  static Fd open_entry(int directory, const std::string& name) {
    return Fd(::openat(directory, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  }

  static std::vector<std::string> sorted_names(int directory, const fs::path& path) {
    auto names = directory_names(directory, path);
    std::ranges::sort(names);
    return names;
  }

  const CacheLayout& layout_;
  const Catalog& catalog_;
  const PruneOptions& options_;
  PruneReport report_;
};

}  // namespace

PruneReport prune_cache(const CacheLayout& layout, const Catalog& catalog,
                        const PruneOptions& options) {
  return Pruner(layout, catalog, options).run();
}

}  // namespace pyro
