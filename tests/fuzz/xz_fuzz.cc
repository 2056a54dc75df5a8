// xz: what comes out does not depend on how it came in.
#include "unpacked.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro::fuzz;
  const CutInput input(data, size);
  if (is_format(input.bytes, "xz")) check_cuts(input);
  return 0;
}
