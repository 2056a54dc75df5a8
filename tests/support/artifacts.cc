// Artifacts of any content that are what their names say.
#include "support/artifacts.h"

#include <algorithm>

namespace pyro::testing {

std::string kernel_with(std::string_view content) {
  return "\x7f"
         "ELF" +
         std::string(content);
}

std::string file_system_with(std::string content) {
  constexpr std::string_view kMagic = "\x53\xef";
  constexpr std::size_t kMagicAt = 1080;
  content.resize(std::max(content.size(), kMagicAt + kMagic.size()));
  return content.replace(kMagicAt, kMagic.size(), kMagic);
}

}  // namespace pyro::testing
