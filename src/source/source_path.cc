// A catalog entry's source_url as a place on this machine.
#include "source/source_path.h"

#include <string_view>

#include "net/url.h"

namespace pyro {
namespace {

constexpr std::string_view kFileScheme = "file://";

}  // namespace

std::optional<std::string> source_path(const std::string& source_url) {
  if (source_url.starts_with(kFileScheme)) {
    std::string_view rest = std::string_view(source_url).substr(kFileScheme.size());
    if (rest.starts_with("localhost/")) rest.remove_prefix(std::string_view("localhost").size());
    return percent_decode(rest);
  }
  if (source_url.find("://") == std::string::npos) return source_url;
  return std::nullopt;
}

}  // namespace pyro
