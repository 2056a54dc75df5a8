// A system call that changes a file system, read from a stopped process.
#include "crash/system_call.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <utility>

namespace pyro::testing {
namespace {

namespace fs = std::filesystem;

constexpr int kNone = -1;
constexpr int kWorkingDirectory = -2;  // for calls that have no argument for the directory

/// Which arguments are a name and the directory that it is relative to.
struct NameAt {
  int directory = kNone;
  int name = kNone;
};

struct Shape {
  long number;
  const char* name;
  Effect effect;
  int descriptor = kNone;
  NameAt at = {};
  NameAt to = {};
};

// clang-format off
constexpr Shape kShapes[] = {
    {SYS_open, "open", Effect::open, kNone, {kWorkingDirectory, 0}},
    {SYS_creat, "creat", Effect::open, kNone, {kWorkingDirectory, 0}},
    {SYS_openat, "openat", Effect::open, kNone, {0, 1}},
    {SYS_openat2, "openat2", Effect::open, kNone, {0, 1}},
    {SYS_write, "write", Effect::content, 0},
    {SYS_pwrite64, "pwrite64", Effect::content, 0},
    {SYS_writev, "writev", Effect::content, 0},
    {SYS_pwritev, "pwritev", Effect::content, 0},
    {SYS_pwritev2, "pwritev2", Effect::content, 0},
    {SYS_ftruncate, "ftruncate", Effect::content, 0},
    {SYS_truncate, "truncate", Effect::content, kNone, {kWorkingDirectory, 0}},
    {SYS_fallocate, "fallocate", Effect::content, 0},
    {SYS_copy_file_range, "copy_file_range", Effect::content, 2},
    {SYS_sendfile, "sendfile", Effect::content, 0},
    {SYS_splice, "splice", Effect::content, 2},
    {SYS_ioctl, "ioctl(FICLONE)", Effect::content, 0},
    {SYS_fchmod, "fchmod", Effect::attributes, 0},
    {SYS_fchown, "fchown", Effect::attributes, 0},
    {SYS_fsetxattr, "fsetxattr", Effect::attributes, 0},
    {SYS_chmod, "chmod", Effect::attributes, kNone, {kWorkingDirectory, 0}},
    {SYS_fchmodat, "fchmodat", Effect::attributes, kNone, {0, 1}},
    {SYS_fchownat, "fchownat", Effect::attributes, kNone, {0, 1}},
    {SYS_utimensat, "utimensat", Effect::attributes, kNone, {0, 1}},
    {SYS_fsync, "fsync", Effect::sync, 0},
    {SYS_fdatasync, "fdatasync", Effect::sync, 0},
    {SYS_sync_file_range, "sync_file_range", Effect::write_back, 0},
    {SYS_rename, "rename", Effect::rename, kNone, {kWorkingDirectory, 0}, {kWorkingDirectory, 1}},
    {SYS_renameat, "renameat", Effect::rename, kNone, {0, 1}, {2, 3}},
    {SYS_renameat2, "renameat2", Effect::rename, kNone, {0, 1}, {2, 3}},
    {SYS_unlink, "unlink", Effect::remove, kNone, {kWorkingDirectory, 0}},
    {SYS_rmdir, "rmdir", Effect::remove, kNone, {kWorkingDirectory, 0}},
    {SYS_unlinkat, "unlinkat", Effect::remove, kNone, {0, 1}},
    {SYS_mkdir, "mkdir", Effect::make_directory, kNone, {kWorkingDirectory, 0}},
    {SYS_mkdirat, "mkdirat", Effect::make_directory, kNone, {0, 1}},
    {SYS_mknodat, "mknodat", Effect::make_link, kNone, {0, 1}},
    {SYS_symlink, "symlink", Effect::make_link, kNone, {kWorkingDirectory, 1}},
    {SYS_symlinkat, "symlinkat", Effect::make_link, kNone, {1, 2}},
    {SYS_link, "link", Effect::make_link, kNone, {kWorkingDirectory, 1}},
    {SYS_linkat, "linkat", Effect::make_link, kNone, {2, 3}},
};
// clang-format on

/// The arguments of one call, and the memory and descriptors that they mean.
class Arguments {
 public:
  Arguments(pid_t thread, const __ptrace_syscall_info& info) : thread_(thread), info_(info) {}

  unsigned long value(int index) const { return info_.entry.args[index]; }
  int number(int index) const { return static_cast<int>(value(index)); }

  fs::path path(const NameAt& at) const {
    const fs::path name = text(value(at.name));
    const int directory = at.directory == kWorkingDirectory ? AT_FDCWD : number(at.directory);
    return (where(directory) / name).lexically_normal();
  }

  fs::path where(int descriptor) const {
    const std::string link = descriptor == AT_FDCWD ? "cwd" : "fd/" + std::to_string(descriptor);
    std::error_code error;
    return fs::read_symlink("/proc/" + std::to_string(thread_) + "/" + link, error);
  }

  unsigned long open_flags(long call) const {
    if (call == SYS_creat) return O_CREAT | O_WRONLY | O_TRUNC;
    if (call == SYS_open) return value(1);
    if (call == SYS_openat) return value(2);
    open_how how{};
    read(value(2), &how, sizeof how.flags);
    return how.flags;
  }

 private:
  bool read(unsigned long address, void* into, std::size_t size) const {
    const iovec here{into, size};
    const iovec there{reinterpret_cast<void*>(address), size};
    return ::process_vm_readv(thread_, &here, 1, &there, 1, 0) == static_cast<ssize_t>(size);
  }

  std::string text(unsigned long address) const {
    std::string text;
    for (char c = 0; read(address, &c, 1) && c != '\0'; ++address) text += c;
    return text;
  }

  pid_t thread_;
  const __ptrace_syscall_info& info_;
};

bool changes_something(const Shape& shape, const Arguments& arguments) {
  if (shape.effect == Effect::open) {
    const unsigned long flags = arguments.open_flags(shape.number);
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
  }
  if (shape.number != SYS_ioctl) return true;
  const unsigned long request = arguments.value(1);
  return request == FICLONE || request == FICLONERANGE;
}

std::optional<FileId> file_at(const fs::path& path, bool follow) {
  struct stat status {};
  if ((follow ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status)) != 0) return {};
  return FileId{status.st_dev, status.st_ino};
}

}  // namespace

std::optional<SystemCall> decode(pid_t thread, const __ptrace_syscall_info& info) {
  const auto* const shape =
      std::ranges::find(kShapes, static_cast<long>(info.entry.nr), &Shape::number);
  if (shape == std::end(kShapes)) return std::nullopt;
  const Arguments arguments(thread, info);
  if (!changes_something(*shape, arguments)) return std::nullopt;
  SystemCall call{.name = shape->name, .effect = shape->effect};
  if (shape->descriptor != kNone) {
    call.path = arguments.where(arguments.number(shape->descriptor));
    call.file = file_of_descriptor(thread, arguments.number(shape->descriptor));
  } else {
    call.path = arguments.path(shape->at);
    call.file = file_at(call.path, false);
  }
  if (shape->to.name != kNone) call.to = arguments.path(shape->to);
  return call;
}

std::optional<FileId> file_of_descriptor(pid_t thread, int descriptor) {
  return file_at("/proc/" + std::to_string(thread) + "/fd/" + std::to_string(descriptor), true);
}

bool is_within(const fs::path& path, const fs::path& folder) {
  const auto [end, ignored] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return end == folder.end();
}

std::string SystemCall::describe() const {
  return name + " " + path.string() + (to.empty() ? "" : " to " + to.string());
}

}  // namespace pyro::testing
