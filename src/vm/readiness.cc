// Whether a run would start from a prepared state.
#include "store/stores.h"
#include "vm/launch.h"
#include "vm/prepared_state.h"

namespace pyro {

std::string_view to_string(Readiness readiness) noexcept {
  switch (readiness) {
    case Readiness::cold:
      return "cold";
    case Readiness::warm:
      return "warm";
    case Readiness::stale:
      return "stale";
  }
  return "cold";
}

ReadinessReport machine_readiness(const EnvironmentStore& store, std::string_view name,
                                  const MachineOptions& options) {
  const Environment& environment = store.options().catalog.require(name);
  const Stores stores(store.options());
  const CacheLayout& layout = stores.cache();
  ReadinessReport report;
  const auto held = stores.hold(environment);
  report.installed = held.has_value();
  const auto directory = prepared_state_dir(layout, environment.name, options.network);
  if (!held) {
    report.reasons.emplace_back("it is not installed");
    return report;
  }
  MachineShape shape;
  try {
    shape = shape_for(options, layout);
  } catch (const Error& error) {
    report.reasons.emplace_back(error.what());
    return report;
  }
  StateLookup lookup = find_prepared_state(layout, directory, {*held, shape, options.monitor});
  if (lookup.state) {
    report.readiness = Readiness::warm;
  } else if (lookup.exists) {
    report.readiness = Readiness::stale;
    report.reasons = std::move(lookup.differences);
  } else {
    report.reasons.emplace_back("no machine was prepared");
  }
  return report;
}

}  // namespace pyro
