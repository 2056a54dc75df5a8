// URLs as they may be shown.
#include "net/redact.h"

#include <algorithm>

namespace pyro {

std::string redact(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const std::size_t scheme = url.find("//");
  if (scheme == std::string_view::npos) return std::string(url);
  // The last '@', not the first: a password with one in it must not show its tail.
  const std::string_view authority = url.substr(scheme + 2, url.find('/', scheme + 2) - scheme - 2);
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos) return std::string(url);
  return std::string(url.substr(0, scheme + 2)) + std::string(url.substr(scheme + 2 + at + 1));
}

}  // namespace pyro
