// Scratch disks.
#include "machine/scratch_disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/fs_verity.h"
#include "base/output_file.h"
#include "base/subprocess.h"
#include "pyro/error.h"
#include "store/transaction.h"

namespace pyro {
namespace {

constexpr const char* kSubject = "the scratch disk of the machine";

/// Named, so that no configuration of the host adds one that the guest's kernel does not know.
/// Tables and journal are left empty: they would fill up the file.
constexpr const char* kFeatures =
    "none,has_journal,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,"
    "huge_file,dir_nlink,extra_isize,metadata_csum";

std::filesystem::path find_mke2fs() {
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): only read
  auto program =
      find_program(std::string(path == nullptr ? "" : path) + ":/usr/sbin:/sbin", "mke2fs");
  if (!program.empty()) return program;
  throw Error(ErrorCode::failed, "there is no mke2fs for the scratch disk of the machine",
              "install it (apt install e2fsprogs)");
}

void make_file_system(int file) {
  const std::filesystem::path program = find_mke2fs();
  constexpr const char* kFile = "/proc/self/fd/3";
  Subprocess process(
      {.program = program,
       .arguments = {program.string(), "-q", "-F", "-t", "ext4", "-m", "0", "-O", kFeatures, "-E",
                     "lazy_itable_init=1,lazy_journal_init=1,nodiscard", kFile},
       .variables = {"MKE2FS_CONFIG=/dev/null", "LC_ALL=C"},
       .descriptors = {-1, -1, -1, file}},
      "mke2fs");
  const ProcessEnd end = process.wait();
  if (end.exit_code == 0 && end.signal == 0) return;
  throw Error(ErrorCode::failed, fmt::format("mke2fs failed to make a scratch disk ({} {})",
                                             end.signal != 0 ? "signal" : "exit code",
                                             end.signal != 0 ? end.signal : end.exit_code));
}

/// The file system of that size, made if needed.
Fd open_template(const CacheLayout& layout, unsigned mebibytes) {
  const Fd directory = layout.make(layout.host_dir());
  const std::string name = fmt::format("scratch-{}.ext4", mebibytes);
  const std::filesystem::path path = layout.host_dir() / name;
  const auto size = std::uint64_t{mebibytes} << 20;
  struct stat status {};
  Fd known(try_open(directory.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  const bool is_good = ::fstat(known.get(), &status) == 0 && S_ISREG(status.st_mode) &&
                       status.st_uid == ::geteuid() && !Rights::has_excess(status) &&
                       static_cast<std::uint64_t>(status.st_size) == size;
  if (is_good) return known;
  NewFile made(layout.make(layout.host_dir()), name, 0600, path.string());
  if (!set_size(made.descriptor(), size)) throw system_error("cannot make " + path.string(), errno);
  make_file_system(made.descriptor());
  made.commit();
  return open_at(directory.get(), name, O_RDONLY | O_NOFOLLOW, 0, path);
}

/// For reading and writing. Where the file system has no files without a name, it had one.
Fd make_unnamed_file(const CacheLayout& layout) {
  const Fd directory = layout.make(layout.staging_dir());
  Fd file(try_open(directory.get(), ".", O_RDWR | O_TMPFILE, 0600));
  if (file) return file;
  const StagingDirectory staging(layout);
  return open_at(staging.descriptor(), "scratch", O_RDWR | O_CREAT | O_EXCL, 0600,
                 staging.path_of("scratch"));
}

}  // namespace

void fill_scratch_disk(const CacheLayout& layout, unsigned mebibytes, int saved, int disk,
                       const std::stop_token& stop) {
  const Fd empty = saved < 0 ? open_template(layout, mebibytes) : Fd();
  if (!set_size(disk, 0)) throw system_error(std::string("cannot empty ") + kSubject, errno);
  copy_sparse(saved < 0 ? empty.get() : saved, disk, kSubject, stop);
}

Fd make_scratch_disk(const CacheLayout& layout, unsigned mebibytes, const std::stop_token& stop) {
  return copy_scratch_disk(layout, open_template(layout, mebibytes).get(), stop);
}

Fd copy_scratch_disk(const CacheLayout& layout, int disk, const std::stop_token& stop) {
  Fd copy = make_unnamed_file(layout);
  copy_sparse(disk, copy.get(), kSubject, stop);
  return copy;
}

}  // namespace pyro
