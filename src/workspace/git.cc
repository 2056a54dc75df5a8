// Git of this host.
#include "workspace/git.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <span>
#include <string_view>
#include <utility>

#include "base/files.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr const char* kErrors = "what git says";

fs::path find_git(const std::string& hint) {
  const char* const path = std::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): only read
  fs::path program =
      find_program(std::string(path == nullptr ? "" : path) + ":/usr/bin:/bin", "git");
  if (!program.empty()) return program;
  throw Error(ErrorCode::failed, "there is no git on this host",
              "install it (apt install git)" + (hint.empty() ? "" : ", or " + hint));
}

std::vector<std::string> variables_for(const fs::path& directory, GitPlace place) {
  if (place == GitPlace::checkout) {
    std::vector<std::string> variables = own_variables();
    variables.insert(variables.end(), {"GIT_OPTIONAL_LOCKS=0", "LC_ALL=C"});
    return variables;
  }
  const std::string here = directory.string();
  return {"HOME=" + here, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C",
          "GIT_CEILING_DIRECTORIES=" + directory.parent_path().string()};
}

std::string read_to_end(const Fd& stream, const std::stop_token& stop) {
  std::string text;
  std::array<char, 64 << 10> piece;
  while (true) {
    wait_for_event(stream.get(), POLLIN, stop);
    const ssize_t got =
        uninterrupted([&] { return ::read(stream.get(), piece.data(), piece.size()); });
    if (got <= 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
}

std::string content_of(const Fd& file) {
  constexpr std::size_t kMost = 64 << 10;
  std::string text(kMost, '\0');
  text.resize(pread_full(file.get(), std::as_writable_bytes(std::span(text)), 0, kErrors));
  return text;
}

}  // namespace

std::string GitResult::reason() const {
  constexpr std::string_view kError = "error: ";
  std::string_view line = trim(std::string_view(errors).substr(0, errors.find('\n')));
  if (line.starts_with(kError)) line.remove_prefix(kError.size());
  return std::string(line.substr(0, line.find(" (allow with ")));  // an option of git
}

GitResult run_git(const fs::path& directory, GitPlace place,
                  const std::vector<std::string>& arguments, const std::stop_token& stop,
                  const std::string& hint) {
  Pipe output;
  const Fd errors = make_memory_file(kErrors);
  std::vector<std::string> words{"git", "-C", directory.string(), "-c", "core.fsmonitor=false"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  Subprocess process({.program = find_git(hint),
                      .arguments = std::move(words),
                      .variables = variables_for(directory, place),
                      .descriptors = {-1, output.write.get(), errors.get()}},
                     "git");
  output.write.reset();
  std::string text = read_to_end(output.read, stop);
  const ProcessEnd end = process.wait();
  return {.exit_code = end.signal == 0 ? end.exit_code : 128 + end.signal,
          .output = std::move(text),
          .errors = content_of(errors)};
}

}  // namespace pyro
