// The files of the host that a workspace began with, and what a copy out of it may do to them.
#include "workspace/host_files.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "base/output_file.h"
#include "base/text.h"
#include "pyro/error.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecord = "seed-files";
constexpr std::size_t kMaxRecord = 512 << 20;

bool is_git(const fs::path& name) {
  return to_lower(name.string()) == ".git";
}

/// The checkout that a directory is in; empty for none.
fs::path find_checkout(fs::path directory) {
  std::error_code error;
  while (!fs::exists(directory / ".git", error)) {
    if (!directory.has_relative_path()) return {};
    directory = directory.parent_path();
  }
  return directory;
}

/// Of a regular file of a usual size; nothing for others.
std::optional<std::string> small_content_of(const fs::path& path) {
  constexpr std::size_t kMost = 1 << 20;
  return read_small_file_at(AT_FDCWD, path.c_str(), kMost);
}

std::int64_t take_number(std::string_view& text) {
  const auto number = number_in<std::int64_t>(take_field(text, ' '));
  if (!number) throw Error(ErrorCode::failed, std::string(kRecord) + " cannot be read");
  return *number;
}

}  // namespace

HostFiles::State HostFiles::state_of(const struct stat& status) {
  return {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::optional<HostFiles> HostFiles::read(int workspace) {
  const auto text = read_small_file_at(workspace, kRecord, kMaxRecord);
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  HostFiles files{std::string(take_field(rest, '\0'))};
  while (!rest.empty()) {
    State state;
    for (std::int64_t* const number : {&state.size, &state.seconds, &state.nanoseconds}) {
      *number = take_number(rest);
    }
    files.files_.emplace(take_field(rest, '\0'), state);
  }
  return files;
}

void HostFiles::write(int workspace, const fs::path& shown) const {
  std::string text = directory_.string() + '\0';
  for (const auto& [path, state] : files_) {
    text += fmt::format("{} {} {} {}", state.size, state.seconds, state.nanoseconds, path) + '\0';
  }
  replace_file_at(workspace, shown / kRecord, text, 0600);
}

void HostFiles::note(const std::string& path, const struct stat& status) {
  files_.insert_or_assign(path, state_of(status));
}

bool HostFiles::is_unchanged(const std::string& path, const struct stat& status) const {
  const auto found = files_.find(path);
  return found != files_.end() && found->second == state_of(status);
}

// --- rules ---

bool may_run_by_itself(const fs::path& path) {
  constexpr std::array<std::string_view, 20> kNames = {
      ".circleci", ".claude",         ".cursor",     ".devcontainer",  ".drone.yml",
      ".envrc",    ".github",         ".gitlab",     ".gitlab-ci.yml", ".gitmodules",
      ".husky",    ".idea",           ".mcp.json",   ".mise.toml",     ".travis.yml",
      ".vscode",   ".woodpecker.yml", "Jenkinsfile", "lefthook.yml",   ".pre-commit-config.yaml"};
  return std::ranges::any_of(path, [&](const fs::path& part) {
    return std::ranges::find(kNames, part.string()) != kNames.end();
  });
}

void CopyOutRules::begin(const fs::path& root) {
  root_ = root;
  if (workspace_ >= 0) files_ = HostFiles::read(workspace_);
  checkout_ = find_checkout(root);
  if (checkout_.empty() || copy_.includes_git) return;
  const fs::path above = root.parent_path().lexically_relative(checkout_);
  if (std::ranges::none_of(above, is_git)) return;
  throw Error(ErrorCode::usage, root.string() + " is in .git of a checkout",
              "--include-git writes there");
}

fs::path CopyOutRules::place_of(const std::string& path) const {
  return path.empty() ? root_ : root_ / path;
}

std::optional<std::string> CopyOutRules::path_of_seed(const std::string& path) const {
  if (!files_) return std::nullopt;
  const fs::path below = place_of(path).lexically_relative(files_->directory());
  if (below.empty() || *below.begin() == "..") return std::nullopt;
  return below.string();
}

bool CopyOutRules::was_changed_on_host(const std::string& path) const {
  const auto below = path_of_seed(path);
  struct stat status {};
  return below && ::lstat(place_of(path).c_str(), &status) == 0 && !S_ISDIR(status.st_mode) &&
         !files_->is_unchanged(*below, status);
}

bool CopyOutRules::wants(const std::string& path, guest::EntryKind kind) {
  const fs::path place = place_of(path);
  if (!checkout_.empty() && !copy_.includes_git && is_git(place.filename())) {
    result_.left_out.push_back(place.lexically_relative(checkout_).string());
    return false;
  }
  if (kind == guest::EntryKind::directory) return true;
  if (!copy_.replaces_changed && was_changed_on_host(path)) {
    result_.left_alone.push_back(place.string());
    return false;
  }
  if (runs_by_itself(place)) replaced_content_ = small_content_of(place);
  return true;
}

bool CopyOutRules::runs_by_itself(const fs::path& place) const {
  return !checkout_.empty() && may_run_by_itself(place.lexically_relative(checkout_));
}

void CopyOutRules::note_written(const std::string& path) {
  const fs::path place = place_of(path);
  struct stat status {};
  const auto below = path_of_seed(path);
  if (below && ::lstat(place.c_str(), &status) == 0) {
    files_->note(*below, status);
    has_noted_ = true;
  }
  if (!runs_by_itself(place)) return;
  const auto written = small_content_of(place);
  if (written && written == replaced_content_) return;
  result_.may_run.push_back(place.lexically_relative(checkout_).string());
}

void CopyOutRules::keep_notes(const fs::path& shown) const {
  if (has_noted_) files_->write(workspace_, shown);
}

}  // namespace pyro
