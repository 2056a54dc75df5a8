// Where installs are looked for: the cache, and behind it the stores of others, which are only
// read.
#pragma once

#include <optional>
#include <vector>

#include "pyro/environment_store.h"
#include "store/held_installation.h"
#include "store/installation.h"
#include "store/layout.h"

namespace pyro {

class Stores {
 public:
  explicit Stores(const StoreOptions& options) : Stores(options, options.on_warning) {}
  Stores(const StoreOptions& options, const Rights::Warn& warn);

  [[nodiscard]] const CacheLayout& cache() const noexcept { return layouts_.front(); }
  /// In the order that they are looked into, the cache first.
  [[nodiscard]] const std::vector<CacheLayout>& all() const noexcept { return layouts_; }

  /// The first that has it installed, and what it has; nothing where none has.
  struct Found {
    const CacheLayout& layout;
    Installation installation;
  };
  /// @throws Error(filesystem) for one that may not be used
  [[nodiscard]] std::optional<Found> find(const Environment& environment) const;

  /// What ensure_installed() says that `directory` is, or the first that find() finds.
  /// @throws as hold_installation() does
  [[nodiscard]] std::optional<HeldInstallation> hold(
      const Environment& environment,
      const std::optional<std::filesystem::path>& directory = std::nullopt) const;

 private:
  std::vector<CacheLayout> layouts_;
};

}  // namespace pyro
