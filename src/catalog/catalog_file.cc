// A catalog file: JSON in, checked environments out.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "base/files.h"
#include "base/strict_json.h"
#include "catalog/catalog.h"
#include "catalog/entry.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::string_view kFileFields[] = {"catalog_version", "environments"};

/// Reads at most `limit` bytes; `fd` may be a pipe.
std::string read_some(int fd, std::size_t limit, const std::filesystem::path& file) {
  std::string text;
  std::array<char, 16384> piece;
  while (text.size() < limit) {
    const ssize_t n = ::read(fd, piece.data(), std::min(piece.size(), limit - text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw system_error("cannot read " + file.string(), errno);
    if (n == 0) break;
    text.append(piece.data(), static_cast<std::size_t>(n));
  }
  return text;
}

/// Refuses a file that other users may write: they would choose the installed environments. A
/// pipe comes from the parent process.
void require_believed(int fd, const std::filesystem::path& file) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) return;
  try {
    pyro::require_believed(status);
  } catch (const Error& error) {
    throw Error(error.code(), file.string() + ": " + error.what(), error.hint());
  }
}

std::vector<Environment> read_environments(const nlohmann::json& document,
                                           const std::filesystem::path& file) {
  const FieldReader fields(document, {});
  fields.refuse_unknown(kFileFields);
  static_cast<void>(fields.required("catalog_version"));
  const auto list = document.find("environments");
  if (list == document.end()) fields.fail("environments", "is missing");
  if (!list->is_array()) {
    fields.fail("environments", std::string("expected an array, found ") + list->type_name());
  }
  std::vector<Environment> environments;
  std::set<std::string> names;
  for (std::size_t i = 0; i < list->size(); ++i) {
    environments.push_back(read_entry((*list)[i], i, file));
    const std::string& name = environments.back().name;
    if (names.insert(name).second) continue;
    throw Error(ErrorCode::failed,
                "environment '" + name + "': field 'name': given by two entries");
  }
  return environments;
}

}  // namespace

std::vector<Environment> parse_catalog(std::string_view text, const std::filesystem::path& file) {
  try {
    return read_environments(parse_strict_json(text, ErrorCode::failed), file);
  } catch (const Error& error) {
    // One line, as compilers print it, instead of a chain of causes.
    throw Error(error.code(), file.string() + ": " + error.what(), error.hint());
  }
}

std::string read_catalog_text(const std::filesystem::path& file) {
  const Fd fd = open_at(AT_FDCWD, file.string(), O_RDONLY, 0, file);
  require_believed(fd.get(), file);
  std::string text = read_some(fd.get(), kMaxCatalogFile + 1, file);
  if (text.size() > kMaxCatalogFile) {
    throw Error(ErrorCode::failed, file.string() + ": larger than 4 MiB");
  }
  return text;
}

std::vector<Environment> read_catalog_file(const std::filesystem::path& file) {
  return parse_catalog(read_catalog_text(file), file);
}

}  // namespace pyro
