// Preloaded: symbolic links fail on every file system, as on vfat.
#include <unistd.h>

#include <cerrno>

extern "C" {

int symlinkat(const char*, int, const char*) noexcept {
  errno = EPERM;
  return -1;
}

int symlink(const char*, const char*) noexcept {
  errno = EPERM;
  return -1;
}

}  // extern "C"
