// Names in a catalog: their grammar, and suggestions for mistyped ones.
#include "catalog/names.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

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

std::string install_directory_name(const Environment& environment) {
  std::string name = environment.name;
  std::ranges::replace(name, ':', '_');
  return name + '-' + environment.version;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment with three rows of the table: two back, one back, this one.
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  const auto same = [&](std::size_t i, std::size_t j) { return to_lower(a[i]) == to_lower(b[j]); };
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (same(i - 1, j - 1) ? 0 : 1)});
      if (i > 1 && j > 1 && same(i - 1, j - 2) && same(i - 2, j - 1)) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[b.size()];
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
