// registries.conf, and the endpoints of images by it.
#include <algorithm>
#include <optional>

#include "memory_file.h"
#include "net/url.h"
#include "oci/mirrors.h"

namespace pyro::fuzz {
namespace {

bool same(const RegistryRule& one, const RegistryRule& other) {
  return one.prefix == other.prefix && one.location == other.location &&
         one.insecure == other.insecure && one.blocked == other.blocked &&
         one.mirrors.size() == other.mirrors.size();
}

void check(const Endpoint& endpoint) {
  const auto url = Url::parse("https://" + endpoint.image.registry() + "/v2/");
  require(url.has_value() && url->userinfo.empty(), "every endpoint is a host");
  require(url->path == "/v2/", "a location's path is no part of its host");
  require(endpoint.image.repository().find("..") == std::string::npos, "no name leads upwards");
}

bool says_insecure(const RegistryRule& rule) {
  return rule.insecure || std::ranges::any_of(rule.mirrors, &MirrorRule::insecure);
}

/// Nothing for a blocked registry, and for names that a rule makes invalid.
std::optional<std::vector<Endpoint>> endpoints(const ImageReference& image,
                                               const std::vector<RegistryRule>& rules) {
  try {
    return endpoints_of(image, rules);
  } catch (const Error& error) {
    require(error.code() == ErrorCode::network || error.code() == ErrorCode::failed,
            "a refusal is of the registry or of the file");
    return std::nullopt;
  }
}

void check(const ImageReference& image, const std::vector<RegistryRule>& rules) {
  const auto found = endpoints(image, rules);
  if (!found) return;
  require(!found->empty() && !found->back().is_mirror, "the registry itself is asked last");
  for (const Endpoint& endpoint : *found) check(endpoint);
  const bool is_insecure = std::ranges::any_of(*found, &Endpoint::insecure);
  require(!is_insecure || std::ranges::any_of(rules, says_insecure), "nothing else is insecure");
  const std::string name = canonical_registry(image.registry()) + "/" + image.repository();
  const RegistryRule* const rule = find_rule(name, rules);
  if (rule != nullptr) return;
  require(found->size() == 1 && !found->front().insecure &&
              found->front().image.to_string() == image.to_string(),
          "without a rule an image is where its name says");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  const fuzz::MemoryFile file(fuzz::as_text(data, size));
  std::vector<RegistryRule> rules;
  std::vector<RegistryRule> again;
  if (!fuzz::accepts(ErrorCode::failed, [&] { rules = load_registries({file.path()}); })) return 0;
  fuzz::require(fuzz::accepts(ErrorCode::failed,
                              [&] {
                                again = load_registries({file.path(), file.path()});
                              }),
                "what is read once is read twice");
  fuzz::require(std::ranges::equal(rules, again, fuzz::same), "a file replaces its own rules");
  for (const char* const registry : {"registry-1.docker.io", "r.example", "r.example:5000"}) {
    for (const char* const repository : {"team/tool", "library/debian"}) {
      fuzz::check(*ImageReference::make(registry, repository, "1"), rules);
    }
  }
  return 0;
}
