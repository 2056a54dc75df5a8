// The grammar of environment names, versions and source profiles.
#include "catalog/names.h"

#include "base/ascii.h"

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

}  // namespace pyro
