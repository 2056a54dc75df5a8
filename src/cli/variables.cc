// Environment variables, and the places that they name.
#include "cli/variables.h"

#include <algorithm>
#include <cstdlib>

#include "pyro/error.h"

namespace pyro::cli {

namespace fs = std::filesystem;

std::optional<std::string> process_variable(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets any.
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

std::optional<fs::path> absolute_variable(const Variables& variables, const char* name) {
  const auto value = variables(name);
  if (!value || !value->starts_with('/')) return std::nullopt;
  return fs::path(*value);
}

std::optional<fs::path> base_directory(const Variables& variables, const char* name,
                                       const char* below_home) {
  if (auto directory = absolute_variable(variables, name)) return directory;
  const auto home = absolute_variable(variables, "HOME");
  if (!home) return std::nullopt;
  return *home / below_home;
}

void append_colon_separated(std::vector<fs::path>& paths, std::string_view list) {
  while (!list.empty()) {
    const std::size_t end = list.find(':');
    if (end != 0) paths.emplace_back(list.substr(0, end));
    list.remove_prefix(end == list.npos ? list.size() : end + 1);
  }
}

std::vector<fs::path> files_in(const fs::path& directory, const char* extension,
                               std::error_code& error) {
  std::vector<fs::path> files;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.ends_with(extension) && !name.starts_with('.')) files.push_back(entry->path());
  }
  std::ranges::sort(files);
  return files;
}

void refuse_variable(const char* name, const std::string& value, const char* expected) {
  throw Error(ErrorCode::usage, std::string(name) + ": '" + value + "' is not " + expected);
}

}  // namespace pyro::cli
