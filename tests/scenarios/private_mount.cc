// Mounts for tests that need another file system, or one that refuses to be written.
#include "scenarios/private_mount.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace pyro::testing {
namespace {

// Once is enough: the first namespace is as private as a second would be.
bool enter_namespace() {
  static const bool entered = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
                              ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  return entered;
}

}  // namespace

std::unique_ptr<PrivateMount> PrivateMount::tmpfs(const std::filesystem::path& directory,
                                                  const std::string& options) {
  if (!enter_namespace()) return nullptr;
  std::filesystem::create_directories(directory);
  if (::mount("tmpfs", directory.c_str(), "tmpfs", 0, options.c_str()) != 0) return nullptr;
  return std::unique_ptr<PrivateMount>(new PrivateMount(directory));
}

std::unique_ptr<PrivateMount> PrivateMount::read_only(const std::filesystem::path& directory) {
  if (!enter_namespace()) return nullptr;
  const char* const path = directory.c_str();
  if (::mount(path, path, nullptr, MS_BIND, nullptr) != 0) return nullptr;
  std::unique_ptr<PrivateMount> mounted(new PrivateMount(directory));
  if (::mount(nullptr, path, nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) != 0) {
    return nullptr;
  }
  return mounted;
}

PrivateMount::~PrivateMount() {
  ::umount2(directory_.c_str(), MNT_DETACH);
}

}  // namespace pyro::testing
