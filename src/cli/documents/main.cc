// Writes the documents that are made from the commands: documents DIRECTORY
#include <filesystem>
#include <fstream>
#include <iostream>

#include "cli/commands/commands.h"
#include "cli/completion.h"
#include "cli/documents/manual.h"
#include "cli/documents/reference.h"

namespace {

namespace fs = std::filesystem;
using namespace pyro::cli;

void write(const fs::path& path, std::string_view text) {
  fs::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (!file) throw std::runtime_error("cannot write " + path.string());
}

void write_manual(const fs::path& directory) {
  write(directory / "pyro.1", main_manual_page());
  for (const CommandEntry* const entry : all_commands()) {
    write(directory / (page_name(*entry) + ".1"), manual_page(describe(*entry)));
  }
}

// Under the names by which the shells look for them.
void write_completions(const fs::path& directory) {
  write(directory / "bash" / "pyro", *completion_script("bash"));
  write(directory / "zsh" / "_pyro", *completion_script("zsh"));
  write(directory / "fish" / "pyro.fish", *completion_script("fish"));
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::cerr << "usage: documents DIRECTORY\n";
    return 2;
  }
  const fs::path directory = argv[1];
  write_manual(directory / "man1");
  write_completions(directory / "completions");
  write(directory / "commands.md", command_reference());
} catch (const std::exception& error) {
  std::cerr << error.what() << '\n';
  return 1;
}
