// Temporary directories and small file helpers for tests.
#include "support/temp_dir.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include "support/hash.h"

namespace pyro::testing {
namespace {

/// Modes are looked at, so that they must not depend on whose shell starts the tests.
[[maybe_unused]] const mode_t kUmaskBefore = ::umask(022);

namespace fs = std::filesystem;

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Tests make directories read-only; only root could remove those as they are.
void make_removable(const fs::path& dir) {
  std::error_code ignored;
  fs::permissions(dir, fs::perms::owner_all, fs::perm_options::add, ignored);
  for (const auto& entry : fs::directory_iterator(dir, ignored)) {
    if (entry.symlink_status().type() == fs::file_type::directory) make_removable(entry.path());
  }
}

char type_letter(const struct stat& info) {
  switch (info.st_mode & S_IFMT) {
    case S_IFREG:
      return 'f';
    case S_IFDIR:
      return 'd';
    case S_IFLNK:
      return 'l';
    case S_IFIFO:
      return 'p';
    case S_IFSOCK:
      return 's';
    case S_IFCHR:
      return 'c';
    case S_IFBLK:
      return 'b';
    default:
      return '?';
  }
}

// The name comes first so that sorting the lines sorts by name.
std::string describe(const fs::path& root, const fs::path& file, bool with_content) {
  struct stat info {};
  if (::lstat(file.c_str(), &info) != 0) throw_errno("lstat " + file.string());
  std::string line = fmt::format("{} {} {:04o}", file.lexically_relative(root).string(),
                                 type_letter(info), info.st_mode & 07777);
  if (S_ISLNK(info.st_mode)) line += " -> " + fs::read_symlink(file).string();
  if (S_ISREG(info.st_mode)) line += fmt::format(" {}", info.st_size);
  if (!with_content) return line;
  line += fmt::format(" inode={} mtime={}.{:09}", info.st_ino, info.st_mtim.tv_sec,
                      info.st_mtim.tv_nsec);
  if (S_ISREG(info.st_mode)) line += " " + sha256_digest(read_file(file));
  return line;
}

std::vector<std::string> list(const fs::path& dir, bool with_content) {
  std::vector<std::string> lines;
  if (!fs::exists(dir)) return lines;
  for (const auto& entry : fs::recursive_directory_iterator(dir)) {
    lines.push_back(describe(dir, entry.path(), with_content));
  }
  std::sort(lines.begin(), lines.end());
  return lines;
}

}  // namespace

TempDir::TempDir(const fs::path& parent) {
  std::string name = (parent / "pyro-test-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw_errno("mkdtemp " + name);
  path_ = name;
}

TempDir::TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {}

TempDir::~TempDir() {
  if (path_.empty()) return;
  make_removable(path_);
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw_errno("read " + file.string());
  std::ostringstream text;  // A file below /proc has no size.
  text << in.rdbuf();
  return std::move(text).str();
}

void write_file(const fs::path& file, std::string_view bytes) {
  if (file.has_parent_path()) fs::create_directories(file.parent_path());
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw_errno("write " + file.string());
}

std::vector<std::string> tree(const fs::path& dir) {
  return list(dir, false);
}

std::vector<std::string> snapshot(const fs::path& dir) {
  return list(dir, true);
}

}  // namespace pyro::testing
