// xz: the output does not depend on the pieces of the input.
#include "unpacked.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const CutInput input(data, size);
  if (is_format(input.bytes, "xz")) check_cuts(input);
  return 0;
}
