// pyro: named, verified, bootable Linux environments for microVMs.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string_view>
#include <utility>

#include "cli/command.h"
#include "pyro/workspace.h"
#include "sandbox/extractor_process.h"

namespace {

/// Memory for saying that there is no more: an exception takes some, too.
void* reserve = nullptr;

bool take_reserve() {
  constexpr std::size_t kSize = 64 << 10;
  reserve = std::malloc(kSize);
  std::set_new_handler([] {
    std::free(std::exchange(reserve, nullptr));
    throw std::bad_alloc();
  });
  return reserve != nullptr;
}

int fail_without_memory() {
  constexpr std::string_view kText = "pyro: error: out of memory\n";
  static_cast<void>(!::write(STDERR_FILENO, kText.data(), kText.size()));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace pyro::cli;
  using pyro::process_variable;
  if (!take_reserve()) return fail_without_memory();
  const std::string_view word = argc > 1 ? argv[1] : "";
  if (word == pyro::kExtractorWord) return pyro::run_extractor();
  if (word == pyro::kSupervisorWord) return pyro::run_workspace_supervisor();
  fill_standard_streams();
  return run({argv + std::min(argc, 1), argv + argc}, process_variable,
             standard_terminal(STDOUT_FILENO, process_variable),
             standard_terminal(STDERR_FILENO, process_variable));
}
