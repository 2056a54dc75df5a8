// What a file is called until it is whole.
#include "base/temporary_name.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdint>

#include "base/files.h"

namespace pyro {

std::string temporary_name() {
  std::uint64_t random = 0;
  if (::getrandom(&random, sizeof random, 0) != sizeof random) {
    throw system_error("cannot get random bytes", errno);
  }
  return ".pyro-" + std::to_string(random) + ".partial";
}

}  // namespace pyro
