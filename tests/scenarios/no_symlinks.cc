// Loaded into a program, makes every file system one that has no symbolic links, as vfat is.
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
