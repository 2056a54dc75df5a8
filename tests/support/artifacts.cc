// Artifacts of any content that are what their names say.
#include "support/artifacts.h"

#include <algorithm>

namespace pyro::testing {

std::string kernel_with(std::string_view content) {
  return "\x7f"
         "ELF" +
         std::string(content);
}

std::string bz_image(std::string_view payload) {
  constexpr std::size_t kSector = 512;
  constexpr std::size_t kHeader = 0x1f1;
  std::string image(2 * kSector, '\0');  // a boot sector, and one of code
  image[kHeader] = 1;
  image.replace(0x202, 6, std::string("HdrS\x08\x02", 6));
  for (std::size_t i = 0; i < 4; ++i) {
    image[0x24c + i] = static_cast<char>(payload.size() >> 8 * i);
  }
  return image + std::string(payload);
}

std::string file_system_with(std::string content) {
  constexpr std::string_view kMagic = "\x53\xef";
  constexpr std::size_t kMagicAt = 1080;
  content.resize(std::max(content.size(), kMagicAt + kMagic.size()));
  return content.replace(kMagicAt, kMagic.size(), kMagic);
}

}  // namespace pyro::testing
