// The program of src/guest/, built into the library.
#include "vm/guest_program.h"

asm(R"(
  .pushsection .rodata
  .balign 64
pyro_guest_program_begin:
  .incbin ")" PYRO_GUEST_PROGRAM R"("
pyro_guest_program_end:
  .popsection
)");

// NOLINTBEGIN(readability-identifier-naming): symbols of the above.
extern "C" const char pyro_guest_program_begin[];
extern "C" const char pyro_guest_program_end[];
// NOLINTEND(readability-identifier-naming)

namespace pyro {

std::string_view guest_program() noexcept {
  return {pyro_guest_program_begin, pyro_guest_program_end};
}

std::string_view guest_program_digest() noexcept {
  return
#include PYRO_GUEST_PROGRAM_DIGEST
      ;
}

}  // namespace pyro
