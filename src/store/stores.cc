// Where installs are looked for.
#include "store/stores.h"

namespace pyro {

Stores::Stores(const StoreOptions& options, const Rights::Warn& warn) {
  layouts_.emplace_back(options.cache_dir, warn);
  for (const std::filesystem::path& store : options.stores) {
    layouts_.emplace_back(store, Rights(Rights::Excess::refused, warn));
  }
}

std::optional<Stores::Found> Stores::find(const Environment& environment) const {
  for (const CacheLayout& layout : layouts_) {
    if (auto found = find_installation(layout, environment)) {
      return Found{layout, std::move(*found)};
    }
  }
  return std::nullopt;
}

std::optional<HeldInstallation> Stores::hold(
    const Environment& environment, const std::optional<std::filesystem::path>& directory) const {
  for (const CacheLayout& layout : layouts_) {
    if (directory && layout.install_dir(environment) != *directory) continue;
    if (auto held = hold_installation(layout, environment)) return held;
  }
  return std::nullopt;
}

}  // namespace pyro
