// Names in a catalog: their grammar, and suggestions for mistyped ones.
#include "catalog/names.h"

#include <algorithm>

#include "base/hash.h"
#include "base/reference.h"
#include "base/text.h"
#include "pyro/error.h"

namespace pyro {
namespace {

bool is_stem_character(char c) {
  return is_lower(c) || is_digit(c) || is_one_of(c, "._-");
}
bool is_tag_character(char c) {
  return is_alnum(c) || is_one_of(c, "._-");
}
bool is_version_character(char c) {
  return is_alnum(c) || is_one_of(c, "._+-");
}

}  // namespace

bool is_environment_name(std::string_view text) noexcept {
  const std::size_t colon = text.find(':');
  if (!is_source_profile(text.substr(0, colon))) return false;
  if (colon == std::string_view::npos) return true;
  const std::string_view tag = text.substr(colon + 1);
  return !tag.empty() && all_are(tag, is_tag_character);
}

bool is_version(std::string_view text) noexcept {
  return !text.empty() && is_alnum(text.front()) && all_are(text, is_version_character);
}

bool is_source_profile(std::string_view text) noexcept {
  return !text.empty() && is_stem_character(text.front()) && !is_one_of(text.front(), "._-") &&
         all_are(text, is_stem_character);
}

bool is_image_name(std::string_view text) {
  if (text.find('/') == text.npos) return false;
  try {
    return image_name(text) == text;
  } catch (const Error&) {
    return false;
  }
}

std::string image_name(std::string_view reference) {
  for (const std::string_view scheme : {"docker://", "oci://"}) {
    if (!reference.starts_with(scheme)) continue;
    reference.remove_prefix(scheme.size());
    break;
  }
  std::string text(reference);
  const std::size_t slash = text.find('/');
  const bool is_hubs_own = slash != text.npos && is_docker_hub(text.substr(0, slash)) &&
                           text.find('/', slash + 1) == text.npos;
  if (is_hubs_own) text.insert(slash + 1, "library/");
  const FullReference full = FullReference::parse(text);
  const std::string registry = is_docker_hub(full.registry) ? "docker.io" : full.registry;
  return registry + '/' + full.repository +
         (full.digest ? '@' + full.digest->to_string() : ':' + full.tag.value_or("latest"));
}

std::string file_name_of(const std::string& environment) {
  std::string name = environment;
  if (const std::size_t slash = name.rfind('/'); slash != name.npos) {
    constexpr std::size_t kDigits = 12;
    const std::string last = name.substr(slash + 1, name.find_first_of(":@", slash) - slash - 1);
    return last + '-' + sha256(name).hex().substr(0, kDigits);
  }
  std::ranges::replace(name, ':', '_');
  return name;
}

std::string install_directory_name(const Environment& environment) {
  const std::string name = file_name_of(environment.name);
  return environment.name.find('/') != std::string::npos ? name : name + '-' + environment.version;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  return alignment_distance(to_lower(a), to_lower(b));
}

std::optional<std::string_view> closest(std::string_view word,
                                        std::span<const std::string_view> known) {
  constexpr std::size_t kMaxWord = 256;  // edit_distance() takes quadratic time
  std::optional<std::string_view> best;
  std::size_t best_distance = 0;
  if (word.size() > kMaxWord) return best;
  for (const std::string_view candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    const bool near = distance <= std::max(word.size(), candidate.size()) / 3;
    if (!near || (best && distance >= best_distance)) continue;
    best = candidate;
    best_distance = distance;
  }
  return best;
}

}  // namespace pyro
