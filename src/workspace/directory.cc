// Workspaces on disk.
#include "workspace/directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/directories.h"
#include "base/fs_verity.h"
#include "base/output_file.h"
#include "base/text.h"
#include "stream/artifacts.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "workspace.json";
constexpr const char* kFiles = "files";
constexpr const char* kStates = "states";
constexpr const char* kChanged = "changed";
constexpr const char* kLock = "lock";
constexpr const char* kSocket = "socket";
constexpr std::string_view kNewPrefix = ".new-";
constexpr std::string_view kOldPrefix = ".old-";
constexpr std::size_t kMaxManifest = 1 << 20;

/// The path of an open directory for calls that take none, and short enough for a socket's address.
std::string path_in(int directory, std::string_view name) {
  return fmt::format("/proc/self/fd/{}/{}", directory, name);
}

sockaddr_un address_in(int directory) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = path_in(directory, kSocket);
  path.copy(std::begin(address.sun_path), sizeof address.sun_path - 1);
  return address;
}

Fd make_socket() {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) throw system_error("cannot make a socket", errno);
  return socket;
}

/// A link to the open file; a copy where the file system has no link to it.
void link_or_copy(int file, int directory, const std::string& name, const fs::path& path,
                  const std::stop_token& stop) {
  const std::string source = fmt::format("/proc/self/fd/{}", file);
  if (::linkat(AT_FDCWD, source.c_str(), directory, name.c_str(), AT_SYMLINK_FOLLOW) == 0) return;
  const Fd copy = open_at(directory, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, path);
  copy_sparse(file, copy.get(), path.string(), stop);
  sync_file(copy.get(), path);
}

void write_new_file(int directory, const std::string& name, std::string_view content,
                    const fs::path& path) {
  const Fd file = open_at(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600, path);
  write_all(file.get(), content, path);
  sync_file(file.get(), path);
}

std::string random_id() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) {
    throw system_error("cannot get random bytes", errno);
  }
  return fmt::format("{:016x}", number);
}

Fd open_if_there(int directory, std::string_view name) {
  return Fd(try_open(directory, std::string(name).c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
}

}  // namespace

WorkspaceManifest WorkspaceDirectory::manifest() const {
  const auto text = read_small_file_at(directory_.get(), kManifest, kMaxManifest);
  try {
    if (!text) throw Error(ErrorCode::failed, std::string(kManifest) + " cannot be read");
    return WorkspaceManifest::parse(*text);
  } catch (Error& error) {
    throw error.add_context("the workspace in " + path_.string() + " cannot be used");
  }
}

void WorkspaceDirectory::fill(const WorkspaceManifest& manifest, const InstallLease& lease,
                              const std::stop_token& stop) const {
  const Fd files = make_files();
  const std::pair<std::size_t, const Fd&> artifacts[] = {
      {kKernel, lease.kernel}, {kRootfs, lease.rootfs}, {kInitrd, lease.initrd}};
  for (const auto& [kind, file] : artifacts) {
    const std::string name(kArtifactKinds[kind].name);
    if (file) link_or_copy(file.get(), files.get(), name, path_ / kFiles / name, stop);
  }
  // Last: what the record says of the root file system counts as long as it is newer.
  write_new_file(files.get(), kRecordName, lease.installation.record.render(),
                 path_ / kFiles / kRecordName);
  sync_file(files.get(), path_ / kFiles);
  static_cast<void>(make_state(manifest.current).make_disk());
  write(manifest);
}

void WorkspaceDirectory::take_files_of(const WorkspaceDirectory& other,
                                       const std::stop_token& stop) const {
  const Fd from = other.open_files();
  const Fd to = make_files();
  // The record comes last, as in fill().
  auto names = sorted_names(from.get(), other.path_ / kFiles);
  std::stable_partition(names.begin(), names.end(),
                        [](const std::string& name) { return name != kRecordName; });
  for (const std::string& name : names) {
    const Fd file =
        open_at(from.get(), name, O_RDONLY | O_NOFOLLOW, 0, other.path_ / kFiles / name);
    link_or_copy(file.get(), to.get(), name, path_ / kFiles / name, stop);
  }
  sync_file(to.get(), path_ / kFiles);
}

Fd WorkspaceDirectory::open_files() const {
  return open_at(directory_.get(), kFiles, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, path_ / kFiles);
}

Fd WorkspaceDirectory::make_files() const {
  if (::mkdirat(directory_.get(), kFiles, 0700) != 0) {
    throw system_error("cannot make " + (path_ / kFiles).string(), errno);
  }
  return open_files();
}

void WorkspaceDirectory::write(const WorkspaceManifest& manifest) const {
  replace_file_at(directory_.get(), path_ / kManifest, manifest.render(), 0600);
}

void WorkspaceDirectory::remove_unused_states(const WorkspaceManifest& manifest) const noexcept
    try {
  for (const std::string& name : directory_names(open_states().get(), path_ / kStates)) {
    const auto number = number_in<unsigned>(name);
    if (number && !manifest.uses(*number)) remove_state(*number);
  }
} catch (const Error&) {  // NOLINT(bugprone-empty-catch): the next change tries again.
}

Fd WorkspaceDirectory::open_states() const {
  if (::mkdirat(directory_.get(), kStates, 0700) != 0 && errno != EEXIST) {
    throw system_error("cannot make " + (path_ / kStates).string(), errno);
  }
  return open_at(directory_.get(), kStates, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                 path_ / kStates);
}

WorkspaceState WorkspaceDirectory::state(unsigned number) const {
  const std::string name = std::to_string(number);
  const fs::path path = path_ / kStates / name;
  return {open_at(open_states().get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, path), path};
}

WorkspaceState WorkspaceDirectory::make_state(unsigned number) const {
  const std::string name = std::to_string(number);
  const Fd states = open_states();
  remove_state(number);  // of a process that was killed
  if (::mkdirat(states.get(), name.c_str(), 0700) != 0) {
    throw system_error("cannot make " + (path_ / kStates / name).string(), errno);
  }
  sync_file(states.get(), path_ / kStates);
  return state(number);
}

void WorkspaceDirectory::remove_state(unsigned number) const noexcept try {
  const std::string name = std::to_string(number);
  remove_tree_at(open_states().get(), name, path_ / kStates / name);
} catch (const Error&) {  // NOLINT(bugprone-empty-catch): a later change tries again.
}

InstallRecord WorkspaceDirectory::record_in(int files) const {
  if (auto record = InstallRecord::read(files)) return std::move(*record);
  throw Error(ErrorCode::failed, (path_ / kFiles / kRecordName).string() + " cannot be read");
}

std::optional<ContainerConfig> WorkspaceDirectory::config() const {
  return record_in(open_files().get()).config;
}

KeptMachine WorkspaceDirectory::machine(std::string name, bool is_new) const {
  const WorkspaceManifest manifest = this->manifest();
  const fs::path files_path = path_ / kFiles;
  KeptMachine machine{.name = std::move(name), .environment = manifest.entry(), .is_new = is_new};
  InstallLease& lease = machine.lease;
  lease.directory = open_files();
  lease.installation = {.directory = files_path, .record = record_in(lease.directory.get())};
  lease.kernel = open_at(lease.directory.get(), std::string(kArtifactKinds[kKernel].name),
                         O_RDONLY | O_NOFOLLOW, 0, files_path / kArtifactKinds[kKernel].name);
  lease.rootfs = open_at(lease.directory.get(), std::string(kArtifactKinds[kRootfs].name),
                         O_RDONLY | O_NOFOLLOW, 0, files_path / kArtifactKinds[kRootfs].name);
  lease.initrd = open_if_there(lease.directory.get(), kArtifactKinds[kInitrd].name);
  lease.installation.has_initrd = static_cast<bool>(lease.initrd);
  lease.base = manifest.base;
  const WorkspaceState current = state(manifest.current);
  machine.disk = current.disk();
  machine.saved = current.saved_machine();
  return machine;
}

std::optional<FileLock> WorkspaceDirectory::try_lock() const {
  return FileLock::try_acquire(directory_.get(), kLock, path_ / kLock);
}

FileLock WorkspaceDirectory::lock() const {
  constexpr std::chrono::seconds kTimeout{10};
  return FileLock::acquire(directory_.get(), kLock, path_ / kLock,
                           {.timeout = kTimeout, .stop = {}, .on_wait = {}});
}

Fd WorkspaceDirectory::connect() const {
  Fd socket = make_socket();
  const sockaddr_un address = address_in(directory_.get());
  const int result = uninterrupted([&] {
    return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  });
  return result == 0 ? std::move(socket) : Fd();
}

Fd WorkspaceDirectory::listen() const {
  constexpr int kWaiting = 64;
  Fd socket = make_socket();
  ::unlinkat(directory_.get(), kSocket, 0);
  const sockaddr_un address = address_in(directory_.get());
  // No other user reaches it: the directory is the user's alone.
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::fchmodat(directory_.get(), kSocket, 0600, 0) != 0 ||
      ::listen(socket.get(), kWaiting) != 0) {
    throw system_error("cannot make " + (path_ / kSocket).string(), errno);
  }
  return socket;
}

void WorkspaceDirectory::note_change() const {
  if (has_changes()) return;
  write_new_file(directory_.get(), kChanged, {}, path_ / kChanged);
  sync_file(directory_.get(), path_);
}

void WorkspaceDirectory::note_export() const noexcept {
  ::unlinkat(directory_.get(), kChanged, 0);
}

bool WorkspaceDirectory::has_changes() const noexcept {
  return ::faccessat(directory_.get(), kChanged, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void WorkspaceDirectory::note_use() const noexcept {
  ::utimensat(directory_.get(), kLock, nullptr, AT_SYMLINK_NOFOLLOW);
}

std::chrono::system_clock::time_point WorkspaceDirectory::last_use() const {
  struct stat status {};
  if (::fstatat(directory_.get(), kLock, &status, AT_SYMLINK_NOFOLLOW) != 0) return {};
  return std::chrono::system_clock::from_time_t(status.st_mtim.tv_sec);
}

std::uint64_t WorkspaceDirectory::allocated_bytes() const {
  const std::uint64_t all = pyro::allocated_bytes_at(directory_.get(), ".");
  const std::uint64_t shared = pyro::allocated_bytes_at(directory_.get(), kFiles);
  return all - std::min(all, shared);
}

Fd WorkspacesDirectory::open() const {
  Fd directory = Fd(try_open(AT_FDCWD, path_.c_str(), O_RDONLY | O_DIRECTORY));
  if (!directory && errno == ENOENT) return {};
  struct stat status {};
  if (!directory || ::fstat(directory.get(), &status) != 0) {
    throw system_error("cannot open " + path_.string(), errno);
  }
  if (status.st_uid != ::geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    throw Error(ErrorCode::filesystem,
                path_.string() + " belongs to another user, or others may write it");
  }
  return directory;
}

Fd WorkspacesDirectory::make() const {
  if (Fd directory = open()) return directory;
  make_directories(path_, 0700);
  return open();
}

std::vector<std::string> WorkspacesDirectory::names() const {
  const Fd directory = open();
  if (!directory) return {};
  auto names = sorted_names(directory.get(), path_);
  std::erase_if(names, [](const std::string& name) { return name.starts_with('.'); });
  return names;
}

std::optional<WorkspaceDirectory> WorkspacesDirectory::find(const std::string& name) const {
  require_workspace_name(name);
  const Fd directory = open();
  if (!directory) return std::nullopt;
  Fd workspace = try_open_directory(directory.get(), name);
  if (workspace) return WorkspaceDirectory(std::move(workspace), path_ / name);
  if (errno == ENOENT) return std::nullopt;
  throw system_error("cannot open " + (path_ / name).string(), errno);
}

WorkspaceDirectory WorkspacesDirectory::require(const std::string& name) const {
  if (auto workspace = find(name)) return std::move(*workspace);
  const auto known = names();
  throw Error(ErrorCode::not_found, "there is no workspace " + in_quotes(name),
              known.empty() ? "'pyro workspace create' makes one"
                            : fmt::format("there are {}", fmt::join(known, ", ")));
}

WorkspacesDirectory::New WorkspacesDirectory::make_new() const {
  const Fd directory = make();
  while (true) {
    const std::string name = std::string(kNewPrefix) + random_id();
    if (::mkdirat(directory.get(), name.c_str(), 0700) != 0) {
      throw system_error("cannot make " + (path_ / name).string(), errno);
    }
    // Until it is locked it is a leftover, which other processes remove.
    Fd opened = try_open_directory(directory.get(), name);
    if (!opened) continue;
    WorkspaceDirectory made(std::move(opened), path_ / name);
    const auto is_there = [&] { return is_still_in(directory.get(), name, made.descriptor()); };
    try {
      auto lock = made.try_lock();
      if (lock && is_there()) return {std::move(made), std::move(*lock)};
    } catch (const Error&) {
      if (is_there()) throw;
    }
  }
}

bool WorkspacesDirectory::publish(const WorkspaceDirectory& made, const std::string& name) const {
  sync_file(made.descriptor(), made.path());
  return rename(made, name);
}

bool WorkspacesDirectory::rename(const WorkspaceDirectory& workspace,
                                 const std::string& name) const {
  require_workspace_name(name);
  const Fd directory = make();
  const std::string before = workspace.path().filename();
  if (!is_still_in(directory.get(), before, workspace.descriptor())) {
    throw Error(ErrorCode::not_found, workspace.path().string() + " is gone");
  }
  if (::renameat2(directory.get(), before.c_str(), directory.get(), name.c_str(),
                  RENAME_NOREPLACE) != 0) {
    if (errno == EEXIST) return false;
    throw system_error("cannot rename " + workspace.path().string(), errno);
  }
  sync_file(directory.get(), path_);
  return true;
}

// Out of its place first, so that it is there as a whole or not at all.
void WorkspacesDirectory::remove(const WorkspaceDirectory& workspace) const {
  const Fd directory = make();
  const std::string before = workspace.path().filename();
  const std::string away = std::string(kOldPrefix) + random_id();
  if (!is_still_in(directory.get(), before, workspace.descriptor())) return;
  if (::renameat(directory.get(), before.c_str(), directory.get(), away.c_str()) != 0) {
    throw system_error("cannot remove " + workspace.path().string(), errno);
  }
  sync_file(directory.get(), path_);
  remove_tree_at(directory.get(), away, path_ / away);
}

void WorkspacesDirectory::remove_leftovers() const {
  const Fd directory = open();
  if (!directory) return;
  for (const std::string& name : directory_names(directory.get(), path_)) {
    if (!name.starts_with(kNewPrefix) && !name.starts_with(kOldPrefix)) continue;
    Fd leftover = try_open_directory(directory.get(), name);
    if (!leftover) continue;
    const WorkspaceDirectory workspace(std::move(leftover), path_ / name);
    if (const auto lock = workspace.try_lock()) {
      remove_tree_at(directory.get(), name, path_ / name);
    }
  }
}

}  // namespace pyro
