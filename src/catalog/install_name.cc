// The name of an environment's install directory.
#include "catalog/install_name.h"

#include <algorithm>

namespace pyro {

std::string install_directory_name(const Environment& environment) {
  std::string name = environment.name;
  std::ranges::replace(name, ':', '_');
  return name + '-' + environment.version;
}

}  // namespace pyro
