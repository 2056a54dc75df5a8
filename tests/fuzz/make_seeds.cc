// Writes the seeds of the fuzzers.
//
//   make_fuzz_seeds DIRECTORY        (tests/fuzz/corpus)
#include <cstdio>
#include <exception>

#include "seeds/corpus.h"

int main(int argc, char** argv) try {
  if (argc != 2) throw std::runtime_error("usage: make_fuzz_seeds DIRECTORY");
  pyro::testing::write_documents(argv[1]);
  pyro::testing::write_archives(argv[1]);
  pyro::testing::write_layers(argv[1]);
  pyro::testing::write_messages(argv[1]);
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "make_fuzz_seeds: %s\n", error.what());
  return 1;
}
