// What a workspace begins with.
#include "workspace/seed.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <span>
#include <system_error>
#include <utility>

#include "base/directories.h"
#include "base/files.h"
#include "base/text.h"
#include "pyro/error.h"
#include "workspace/git.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGit = ".git";
constexpr std::size_t kMaxConfig = 1 << 20;

bool is_below_git(std::string_view path) {
  return path == kGit || path.starts_with(".git/");
}

/// `above` itself, or a directory in it.
bool is_in(const fs::path& path, const fs::path& above) {
  const auto [end, rest] = std::mismatch(above.begin(), above.end(), path.begin(), path.end());
  return end == above.end();
}

fs::path real_path_of(const fs::path& directory) {
  std::error_code error;
  fs::path whole = fs::canonical(directory, error);
  if (!error) return whole;
  throw system_error("cannot read " + directory.string(), error.value());
}

void require_small_enough(const fs::path& directory) {
  std::error_code error;
  const fs::path whole = real_path_of(directory);
  const char* const home = std::getenv("HOME");  // NOLINT(concurrency-mt-unsafe): only read
  const fs::path of_user = home == nullptr ? fs::path() : fs::weakly_canonical(home, error);
  if (whole == "/" || (!of_user.empty() && is_in(of_user, whole))) {
    throw Error(ErrorCode::usage, whole.string() + " is too much to begin a workspace with",
                "name a directory below it");
  }
}

std::string list_checkout(const fs::path& directory, const std::stop_token& stop) {
  GitResult listed =
      run_git(directory, GitPlace::checkout,
              {"ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"},
              stop, "take all files with --all");
  if (listed.exit_code == 0) return std::move(listed.output);
  throw Error(ErrorCode::failed,
              "git cannot list the files of " + directory.string() + ": " + listed.reason(),
              "--all takes all files");
}

std::string_view name_in(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

/// "section" of "[section]" and "[section "name"]", in lower case; nothing for other lines.
std::optional<std::string> section_in(std::string_view line) {
  if (!line.starts_with('[')) return std::nullopt;
  const std::size_t end = line.find_first_of(" \t\"].", 1);
  return to_lower(line.substr(1, end == line.npos ? line.npos : end - 1));
}

std::string key_in(std::string_view line) {
  return to_lower(trim(line.substr(0, line.find('='))));
}

bool is_secret_section(std::string_view section) {
  return section == "credential" || section == "include" || section == "includeif";
}

bool is_credential(std::string_view section, const std::string& key) {
  if (section == "http") return key == "extraheader" || key == "cookiefile" || key == "sslkey";
  // Commands that the host's user chose.
  return section == "core" &&
         (key == "sshcommand" || key == "askpass" || key == "fsmonitor" || key == "hookspath");
}

/// "https://host/path" for "https://user:password@host/path".
std::string without_user(std::string_view line) {
  std::string result(line);
  const std::size_t scheme = result.find("://");
  if (scheme == result.npos) return result;
  const std::size_t host = scheme + 3;
  const std::size_t end = result.find_first_of("/ \t\"", host);
  const std::size_t user = result.substr(0, end).rfind('@');
  const bool is_of_ssh = result.substr(0, scheme).ends_with("ssh");  // its user is no secret
  if (user != result.npos && user >= host && !is_of_ssh) result.erase(host, user + 1 - host);
  return result;
}

}  // namespace

bool is_named_like_secret(std::string_view name) {
  return name.starts_with(".env") || name.ends_with(".pem") || name.starts_with("id_");
}

std::string without_credentials(std::string_view config) {
  std::string result;
  std::string section;
  bool goes_on = false;  ///< The line before ended with a backslash.
  bool is_left_out = false;
  while (!config.empty()) {
    std::string_view line = config.substr(0, config.find('\n'));
    config.remove_prefix(std::min(line.size() + 1, config.size()));
    if (!goes_on) {
      const auto begun = section_in(trim(line));
      if (begun) section = *begun;
      if (begun && !is_secret_section(section)) {
        const std::size_t end = std::min(line.find(']'), line.size() - 1) + 1;
        result += without_user(line.substr(0, end)) + '\n';
        line.remove_prefix(end);
      }
      is_left_out = is_secret_section(section) || is_credential(section, key_in(line));
    }
    goes_on = line.ends_with('\\');
    if (!is_left_out && !trim(line).empty()) result += without_user(line) + '\n';
  }
  return result;
}

Seed::Seed(const fs::path& directory, bool all, const std::stop_token& stop)
    : directory_(directory), takes_all_(all), host_files_(real_path_of(directory)) {
  require_small_enough(directory);
  std::error_code error;
  is_checkout_ = !all && fs::exists(directory / kGit, error);
  if (is_checkout_) {
    const std::string output = list_checkout(directory, stop);
    for (std::string_view rest = output; !rest.empty();) {
      add(std::string(take_field(rest, '\0')));
    }
  }
  const Fd root = open_directory(directory);
  walk_tree(root.get(), ".", {},
            {.visit =
                 [&](const TreePlace& place) {
                   if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
                   struct stat status {};
                   if (::fstatat(place.directory, place.name.c_str(), &status,
                                 AT_SYMLINK_NOFOLLOW) != 0) {
                     return false;
                   }
                   const std::string path = place.path().string();
                   if (is_secret(path, S_ISDIR(status.st_mode))) secrets_.push_back(path);
                   if (!wants(path, S_ISDIR(status.st_mode))) return false;
                   if (S_ISREG(status.st_mode)) {
                     ++files_;
                     bytes_ += data_bytes(status);
                   }
                   if (!S_ISDIR(status.st_mode)) host_files_.note(path, status);
                   return S_ISDIR(status.st_mode);
                 },
             .failed = [](const Error&) {}});
}

bool Seed::is_secret(const std::string& path, bool is_directory) const {
  const bool is_there = !is_checkout_ || listed_.contains(path);
  return is_there && !takes_all_ && !is_directory && !is_below_git(path) &&
         is_named_like_secret(name_in(path));
}

void Seed::add(const std::string& path) {
  for (std::size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    listed_.insert(path.substr(0, slash));
  }
  listed_.insert(path);
}

bool Seed::wants(const std::string& path, bool is_directory) const {
  if (takes_all_ || path.empty() || is_below_git(path)) return true;
  if (is_checkout_ && !listed_.contains(path)) return false;
  return is_directory || !is_named_like_secret(name_in(path));
}

std::optional<std::string> Seed::content_of(const std::string& path, int file) const {
  const bool is_config = name_in(path) == "config" || name_in(path) == "config.worktree";
  if (takes_all_ || !is_below_git(path) || !is_config) return std::nullopt;
  std::string text(kMaxConfig, '\0');
  text.resize(pread_full(file, std::as_writable_bytes(std::span(text)), 0, path));
  return without_credentials(text);
}

}  // namespace pyro
