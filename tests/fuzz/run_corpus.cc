// Feeds every file of a directory to one fuzz target, as a regression test.
//
//   run_corpus DIRECTORY
#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "oracle.h"

namespace {

std::vector<std::filesystem::path> files_in(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

std::vector<char> content_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void run(const std::filesystem::path& file) {
  const std::vector<char> content = content_of(file);
  // Said before, as a broken promise ends the process.
  std::printf("%s: %zu bytes\n", file.filename().c_str(), content.size());
  std::fflush(stdout);
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(content.data()), content.size());
}

}  // namespace

int main(int argc, char** argv) try {
  const auto files = files_in(argc == 2 ? argv[1] : ".");
  for (const auto& file : files) run(file);
  if (!files.empty()) return 0;
  std::fprintf(stderr, "run_corpus: nothing in the corpus\n");
  return 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "run_corpus: %s\n", error.what());
  return 1;
}
