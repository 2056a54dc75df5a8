// Where an image is to be had.
#include "oci/endpoints.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/ascii.h"
#include "pyro/error.h"

namespace pyro {
namespace {

/// How many characters of `name` the prefix stands for; nothing where it is not its prefix.
std::optional<std::size_t> match(std::string_view name, std::string_view prefix) {
  std::size_t end = prefix.size();
  if (prefix.starts_with("*.")) {
    prefix.remove_prefix(1);
    const std::string_view host = name.substr(0, name.find_first_of("/:@"));
    if (!host.ends_with(prefix) || host.size() == prefix.size()) return std::nullopt;
    end = host.size();
  } else if (!name.starts_with(prefix)) {
    return std::nullopt;
  }
  const bool is_whole = end == name.size() || std::string_view("/:@").find(name[end]) != name.npos;
  return is_whole ? std::optional(end) : std::nullopt;
}

/// "host/repository:tag" or "host/repository@digest"
std::optional<ImageReference> parse(const std::string& name) {
  const std::size_t slash = name.find('/');
  const std::size_t at = name.find('@');
  const std::size_t mark = at == name.npos ? name.rfind(':') : at;
  if (slash == name.npos || mark == name.npos || mark < slash) return std::nullopt;
  return ImageReference::make(name.substr(0, slash), name.substr(slash + 1, mark - slash - 1),
                              name.substr(mark + 1));
}

/// `name`, its front replaced.
ImageReference relocate(const std::string& name, std::size_t front, const std::string& location,
                        const RegistryRule& rule) {
  const std::string moved = location.empty() ? name : location + name.substr(front);
  auto image = parse(moved);
  if (image) return std::move(*image);
  throw Error(ErrorCode::failed,
              rule.file.string() + " makes " + moved + " of " + name + ", which names no image");
}

}  // namespace

const RegistryRule* find_rule(std::string_view name, const std::vector<RegistryRule>& rules) {
  const RegistryRule* best = nullptr;
  for (const RegistryRule& rule : rules) {
    const bool is_longer = best == nullptr || rule.prefix.size() > best->prefix.size();
    if (is_longer && match(name, rule.prefix)) best = &rule;
  }
  if (best == nullptr || !best->blocked) return best;
  throw Error(ErrorCode::network,
              "the registry " + best->prefix + " is blocked by " + best->file.string());
}

std::vector<Endpoint> endpoints_of(const ImageReference& image,
                                   const std::vector<RegistryRule>& rules) {
  const std::string upstream = canonical_registry(to_lower(image.registry()));
  const std::string name = upstream + image.to_string().substr(image.registry().size());
  const RegistryRule* const best = find_rule(name, rules);
  if (best == nullptr) return {{.image = image}};
  const std::size_t front = *match(name, best->prefix);
  std::vector<Endpoint> endpoints;
  for (const MirrorRule& mirror : best->mirrors) {
    endpoints.push_back({.image = relocate(name, front, mirror.location, *best),
                         .insecure = mirror.insecure,
                         .is_mirror = true,
                         .serves_tags = mirror.serves_tags,
                         .serves_digests = mirror.serves_digests,
                         .upstream = upstream});
  }
  endpoints.push_back(
      {.image = relocate(name, front, best->location, *best), .insecure = best->insecure});
  return endpoints;
}

}  // namespace pyro
