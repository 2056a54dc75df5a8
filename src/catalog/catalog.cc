// The built-in environments, files laid over them, lookup by name.
#include "pyro/catalog.h"

#include <algorithm>
#include <utility>

#include "catalog/catalog_builder.h"
#include "catalog/suggest.h"
#include "catalog/version_range.h"
#include "pyro/error.h"

namespace pyro {
namespace {

std::vector<std::string_view> names_of(const std::vector<Environment>& environments) {
  std::vector<std::string_view> names;
  for (const Environment& environment : environments) names.push_back(environment.name);
  return names;
}

std::string join(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

}  // namespace

bool Environment::compatible() const {
  const auto range = VersionRange::parse(compatibility);
  return range && range->contains(kCatalogVersion);
}

Catalog Catalog::built_in() {
  return load({});
}

Catalog Catalog::load(std::span<const std::filesystem::path> files) {
  CatalogBuilder builder;
  for (const std::filesystem::path& file : files) builder.lay_over(file);
  return builder.build();
}

const Environment* Catalog::find(std::string_view name) const noexcept {
  const auto found = std::ranges::lower_bound(environments_, name, {}, &Environment::name);
  return found != environments_.end() && found->name == name ? &*found : nullptr;
}

const Environment& Catalog::require(std::string_view name) const {
  if (const Environment* const environment = find(name)) return *environment;
  const std::vector<std::string_view> known = names_of(environments_);
  const auto suggestion = closest(name, known);
  throw Error(ErrorCode::not_found,
              "unknown environment '" + std::string(name) + "'; expected one of: " + join(known),
              suggestion ? "did you mean '" + std::string(*suggestion) + "'?" : std::string());
}

}  // namespace pyro
