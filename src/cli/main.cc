// pyro: named, verified, bootable Linux environments for microVMs.
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "cli/command.h"
#include "sandbox/extractor_process.h"

int main(int argc, char** argv) {
  using namespace pyro::cli;
  using pyro::process_variable;
  if (argc > 1 && std::string_view(argv[1]) == pyro::kExtractorWord) return pyro::run_extractor();
  fill_standard_streams();
  return run({argv + std::min(argc, 1), argv + argc}, process_variable,
             standard_terminal(STDOUT_FILENO, process_variable),
             standard_terminal(STDERR_FILENO, process_variable));
}
