// Every path of the cache.
#include "store/layout.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/files.h"
#include "catalog/install_name.h"
#include "pyro/error.h"

namespace pyro {

std::filesystem::path CacheLayout::platform_dir() const {
  return root_ / kPlatform;
}
std::filesystem::path CacheLayout::locks_dir() const {
  return root_ / "locks";
}
std::filesystem::path CacheLayout::staging_dir() const {
  return root_ / "staging";
}
std::filesystem::path CacheLayout::partial_dir() const {
  return root_ / "partial";
}
std::filesystem::path CacheLayout::prepared_dir() const {
  return root_ / "prepared";
}
std::string CacheLayout::prepared_name(const std::string& environment) {
  std::string name = environment;
  std::ranges::replace(name, ':', '_');
  return name;
}
std::filesystem::path CacheLayout::prepared_state_dir(const std::string& environment,
                                                      std::string_view network) const {
  return prepared_dir() / prepared_name(environment) / network;
}
std::string CacheLayout::prepare_lock_name(const std::string& environment) {
  return prepared_name(environment) + ".prepare.lock";
}
std::filesystem::path CacheLayout::used_dir() const {
  return root_ / "used";
}
std::filesystem::path CacheLayout::host_dir() const {
  return root_ / "host";
}
std::filesystem::path CacheLayout::kvm_record() const {
  return host_dir() / "kvm.json";
}

std::filesystem::path CacheLayout::install_dir(const Environment& environment) const {
  return platform_dir() / install_directory_name(environment);
}

std::string CacheLayout::lock_name(const std::string& install_directory_name) {
  return install_directory_name + ".lock";
}

void CacheLayout::check_root() const {
  struct stat status {};
  if (::stat(root_.c_str(), &status) != 0) {
    if (errno == ENOENT) return;
    throw system_error("cannot look at the cache " + root_.string(), errno);
  }
  const std::string subject = "the cache " + root_.string();
  if (!S_ISDIR(status.st_mode)) {
    throw Error(ErrorCode::filesystem, subject + " is not a directory",
                "choose another with --cache-dir");
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    throw Error(ErrorCode::filesystem, subject + " can be written by everybody",
                "take that right away: chmod o-w " + root_.string());
  }
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    throw Error(ErrorCode::filesystem,
                subject + " belongs to another user (" + std::to_string(status.st_uid) + ")",
                "choose your own with --cache-dir");
  }
}

bool CacheLayout::group_writable() const {
  struct stat status {};
  return ::stat(root_.c_str(), &status) == 0 && (status.st_mode & S_IWGRP) != 0;
}

}  // namespace pyro
