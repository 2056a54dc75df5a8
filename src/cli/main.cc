// pyro: named, verified, bootable Linux environments for microVMs.
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "cli/command.h"
#include "pyro/workspace.h"
#include "sandbox/extractor_process.h"

int main(int argc, char** argv) {
  using namespace pyro::cli;
  using pyro::process_variable;
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == pyro::kExtractorWord) return pyro::run_extractor();
  if (word == pyro::kSupervisorWord) return pyro::run_workspace_supervisor();
  fill_standard_streams();
  return run({argv + std::min(argc, 1), argv + argc}, process_variable,
             standard_terminal(STDOUT_FILENO, process_variable),
             standard_terminal(STDERR_FILENO, process_variable));
}
