// The state of an environment in one word.
#include "cli/commands/status.h"

namespace pyro::cli {

Cell status_cell(const EnvironmentStatus& status) {
  if (status.outdated) return {"outdated", Colour::yellow};
  if (status.installed) return {"installed", Colour::green};
  if (!status.environment.compatible()) return {"incompatible", Colour::red};
  return {"available", Colour::dim};
}

}  // namespace pyro::cli
