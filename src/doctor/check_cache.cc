// The checks of a cache: ownership, space, abilities of its file system.
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <optional>

#include "base/directories.h"
#include "base/files.h"
#include "base/text.h"
#include "doctor/checks.h"
#include "store/layout.h"
#include "store/transaction.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kLittleSpace = std::uint64_t{5} << 30;
constexpr std::size_t kPiece = 4096;

/// The nearest existing parent of `path`, or itself. A dangling link would be in the way of a
/// directory.
fs::path nearest_existing(const fs::path& path) {
  fs::path there = fs::absolute(path);
  for (; !fs::exists(there); there = there.parent_path()) {
    if (!fs::is_symlink(there)) continue;
    throw Error(ErrorCode::filesystem, there.string() + " is a link without a target");
  }
  return there;
}

/// A temporary directory for tests: in the cache's staging area, or beside the future cache.
class Scratch {
 public:
  explicit Scratch(const CacheLayout& layout) {
    if (fs::exists(layout.staging_dir())) {
      staging_.emplace(layout);
      return;
    }
    const fs::path above = nearest_existing(layout.root());
    std::string name = (above / ".pyro-doctor-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw system_error("cannot write to " + above.string(), errno);
    }
    path_ = name;
    directory_ = open_directory(path_);
  }
  ~Scratch() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  [[nodiscard]] int descriptor() const {
    return staging_ ? staging_->descriptor() : directory_.get();
  }

  [[nodiscard]] Fd make_file(const char* name) const {
    return open_at(descriptor(), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, name);
  }

 private:
  std::optional<StagingDirectory> staging_;
  fs::path path_;
  Fd directory_;
};

void write_piece(const Fd& file, std::uint64_t offset) {
  const std::vector<std::byte> bytes(kPiece, std::byte{1});
  pwrite_all(file.get(), bytes, offset, "a file to try things with");
}

bool makes_holes(const Scratch& scratch) {
  constexpr std::uint64_t kProbeSize = 1 << 20;
  const Fd file = scratch.make_file("holes");
  write_piece(file, kProbeSize - kPiece);
  // File systems allocate blocks when data is synced.
  sync_file(file.get(), "a file to try things with");
  struct stat status {};
  return ::lseek(file.get(), 0, SEEK_DATA) > 0 && ::fstat(file.get(), &status) == 0 &&
         static_cast<std::uint64_t>(status.st_blocks) * 512 < kProbeSize / 2;
}

bool exchanges_directories(const Scratch& scratch) {
  const int at = scratch.descriptor();
  return ::mkdirat(at, "one", 0700) == 0 && ::mkdirat(at, "other", 0700) == 0 &&
         ::renameat2(at, "one", at, "other", RENAME_EXCHANGE) == 0;
}

bool shares_blocks(const Scratch& scratch) {
  const Fd from = scratch.make_file("from");
  const Fd to = scratch.make_file("to");
  write_piece(from, 0);
  return ::ioctl(to.get(), FICLONE, from.get()) == 0;
}

// A file can be sealed only while it is not open for writing.
bool has_verity(const Scratch& scratch) {
  write_piece(scratch.make_file("verity"), 0);
  const Fd file = open_at(scratch.descriptor(), "verity", O_RDONLY, 0, "verity");
  fsverity_enable_arg how{};
  how.version = 1;
  how.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
  how.block_size = kPiece;
  return ::ioctl(file.get(), FS_IOC_ENABLE_VERITY, &how) == 0;
}

void add(Findings& findings, const char* name, bool works, Health otherwise, const char* yes,
         const char* no, const char* remedy) {
  findings.push_back({.name = name,
                      .health = works ? Health::ok : otherwise,
                      .message = works ? yes : no,
                      .remedy = works ? "" : remedy});
}

bool has_locks(const Scratch& scratch) try {
  return try_lock(scratch.make_file("lock").get(), LockKind::exclusive,
                  "a file to try things with");
} catch (const Error&) {
  return false;
}

long type_of_file_system(const Scratch& scratch) {
  struct statfs status {};
  return ::fstatfs(scratch.descriptor(), &status) == 0 ? static_cast<long>(status.f_type) : 0;
}

void check_file_system(const CacheLayout& layout, Findings& findings) {
  const Scratch scratch(layout);
  check_sharing(type_of_file_system(scratch), has_locks(scratch), findings);
  add(findings, "holes", makes_holes(scratch), Health::missing, "zeros take no disk",
      "every zero of an image takes disk",
      "put the cache on ext4, xfs, btrfs or tmpfs, with --cache-dir");
  add(findings, "exchange", exchanges_directories(scratch), Health::warning,
      "installs are replaced in one step", "an install cannot be replaced in one step",
      "put the cache on ext4, xfs, btrfs or tmpfs, with --cache-dir");
  // Optional: these only make some operations cheaper.
  add(findings, "reflink", shares_blocks(scratch), Health::absent, "copies share their blocks",
      "copies take space of their own", "");
  add(findings, "fs-verity", has_verity(scratch), Health::absent, "the kernel can seal files",
      "the kernel cannot seal files here; 'pyro env verify' reads them", "");
}

void check_space(const CacheLayout& layout, Findings& findings) {
  struct statvfs space {};
  if (::statvfs(nearest_existing(layout.root()).c_str(), &space) != 0)
    throw system_error("cannot tell the space", errno);
  const std::uint64_t free = std::uint64_t{space.f_bavail} * space.f_frsize;
  const bool enough = free >= kLittleSpace;
  findings.push_back({.name = "space",
                      .health = enough ? Health::ok : Health::warning,
                      .message = mib(free) + " free",
                      .remedy = enough ? "" : "free some: pyro env prune"});
}

Finding judge_store(const fs::path& store) try {
  const CacheLayout layout(store, Rights(Rights::Excess::refused));
  layout.check_root();
  const bool readable = ::access(store.c_str(), R_OK | X_OK) == 0;
  return {.name = "store",
          .health = readable ? Health::ok : Health::warning,
          .message = store.string() + (readable ? "" : " may not be read"),
          .remedy = readable ? "" : "chmod -R go+rX " + store.string()};
} catch (const Error& error) {
  return {
      .name = "store", .health = Health::missing, .message = error.what(), .remedy = error.hint()};
}

/// Skips stores that do not exist.
void check_stores(const StoreOptions& options, Findings& findings) {
  for (const fs::path& store : options.stores) {
    std::error_code none;
    if (fs::exists(store, none)) findings.push_back(judge_store(store));
  }
}

void unfit(Findings& findings, std::string why, std::string remedy) {
  if (remedy.empty()) remedy = "choose another with --cache-dir";
  findings.push_back({.name = "cache",
                      .health = Health::missing,
                      .message = std::move(why),
                      .remedy = std::move(remedy)});
}

}  // namespace

void check_sharing(long type, bool has_locks, Findings& findings) {
  if (type != NFS_SUPER_MAGIC) return;
  add(findings, "nfs", has_locks, Health::missing,
      "the cache is on NFS, and files can be locked there",
      "the cache is on NFS, and files cannot be locked there",
      "mount it with locks, or choose a local file system with --cache-dir");
}

bool check_cache(const StoreOptions& options, Findings& findings) {
  check_stores(options, findings);
  const CacheLayout layout(options.cache_dir, Rights(Rights::Excess::tolerated));
  try {
    const Fd root = layout.open(layout.root());
    check_space(layout, findings);
    check_file_system(layout, findings);
    struct stat status {};
    const bool shared = root && ::fstat(root.get(), &status) == 0 && Rights::has_excess(status);
    findings.push_back({.name = "cache",
                        .health = shared ? Health::warning : Health::ok,
                        .message = layout.root().string() +
                                   (root ? "" : ", which is made when it is needed") +
                                   (shared ? ", which others may write to" : ""),
                        .remedy = shared ? "chmod go-w " + layout.root().string() : ""});
    return true;
  } catch (const Error& error) {
    unfit(findings, error.what(), error.hint());
  } catch (const fs::filesystem_error& error) {
    unfit(findings, error.what(), {});
  }
  return false;
}

}  // namespace pyro
