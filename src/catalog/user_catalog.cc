// The catalog file that pyro keeps for its user.
#include "pyro/user_catalog.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>
#include <vector>

#include "base/directories.h"
#include "base/files.h"
#include "base/output_file.h"
#include "base/strict_json.h"
#include "base/text.h"
#include "catalog/catalog.h"
#include "catalog/entry.h"
#include "catalog/names.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
/// Keeps the order of the fields in the file.
using OrderedJson = nlohmann::ordered_json;

constexpr std::chrono::seconds kCatalogLockTimeout{10};
constexpr mode_t kPublicMode = 0644;
constexpr mode_t kPrivateMode = 0600;

void require_name(const std::string& name, EnvironmentKind kind) {
  const bool is_image = kind == EnvironmentKind::container && is_image_name(name);
  if (is_environment_name(name) || is_image) return;
  throw Error(ErrorCode::usage, "'" + name + "' is not a name for an environment",
              "a name looks like 'tool:1': a-z 0-9 . _ - and at most one ':' before a tag");
}

void require_names(const NewEnvironment& environment) {
  require_name(environment.name, environment.kind);
  if (!is_version(environment.version)) {
    throw Error(ErrorCode::usage, "'" + environment.version + "' is not a version",
                "a version looks like '1.0.0': letters, digits, . _ + -");
  }
}

/// The name of its folder in a runtime bundle.
std::string profile_for(const std::string& name) {
  std::string profile = to_lower(file_name_of(name));
  std::ranges::replace(profile, '_', '-');
  return profile;
}

std::string description_of(const NewEnvironment& environment) {
  if (!environment.description.empty()) return environment.description;
  const bool is_stream = environment.source.source_url == kStandardInputUrl;
  return std::string("Added with 'pyro env add'") + (is_stream ? " from standard input." : ".");
}

/// Its fields are not validated yet.
Environment environment_of(const NewEnvironment& wanted) {
  Environment environment;
  environment.name = wanted.name;
  environment.version = wanted.version;
  environment.description = description_of(wanted);
  environment.kind = wanted.kind;
  environment.base = wanted.base;
  environment.distribution = "unknown";
  environment.source_profile = profile_for(wanted.name);
  environment.source_url = wanted.source.source_url;
  environment.oci_registry = wanted.source.oci_registry;
  environment.oci_repository = wanted.source.oci_repository;
  environment.oci_reference = wanted.source.oci_reference;
  environment.oci_digest = wanted.source.oci_digest;
  environment.source_sha256 = wanted.source_sha256;
  return environment;
}

/// Parses a new entry.
/// @throws Error(usage): the caller gave the values.
Environment read_new_entry(const OrderedJson& entry, const fs::path& file) {
  try {
    return read_entry(nlohmann::json(entry), 0, file);
  } catch (const Error& error) {
    throw Error(ErrorCode::usage, error.what(), error.hint());
  }
}

/// Validates before anything is created, and takes the checksum out of the URL.
OrderedJson checked_entry(const NewEnvironment& environment, const fs::path& file) {
  require_names(environment);
  return write_entry(read_new_entry(write_entry(environment_of(environment)), file));
}

OrderedJson::iterator find_entry(OrderedJson& entries, std::string_view name) {
  return std::ranges::find_if(entries,
                              [&](const OrderedJson& entry) { return entry["name"] == name; });
}

/// Whether its URL has a login, or a query, which may be a signature.
bool may_hold_a_secret(const Environment& environment) {
  return environment.source_url && environment.source_url->find("://") != std::string::npos &&
         environment.source_url->find_first_of("@?") != std::string::npos;
}

/// `error` with the name of the catalog file and a hint.
Error with_catalog_details(const fs::path& file, const Error& error) {
  if (error.code() != ErrorCode::filesystem) return error;
  std::vector<std::string> texts{error.message()};
  texts.insert(texts.end(), error.causes().begin(), error.causes().end());
  Error told(error.code(), texts.back(),
             "check the owner, the mode and the free space of its directory");
  for (auto text = std::next(texts.rbegin()); text != texts.rend(); ++text) {
    told.add_context(*text);
  }
  return told.add_context("cannot change the catalog " + file.string());
}

/// The user's file, locked against changes by other processes.
class CatalogEdit {
 public:
  CatalogEdit(const fs::path& file, const std::stop_token& stop)
      : file_(file),
        directory_(make_and_open_directory(file.parent_path())),
        lock_(lock(stop)),
        document_(is_there() ? read() : empty()) {}

  /// All are valid entries.
  [[nodiscard]] OrderedJson& entries() { return document_["environments"]; }

  /// Validates the new content, and returns its text.
  /// @throws Error(failed)
  [[nodiscard]] std::string text(const Catalog& others) const {
    std::string text = document_.dump(2) + '\n';
    if (text.size() > kMaxCatalogFile) {
      throw Error(ErrorCode::failed, file_.string() + ": would be larger than 4 MiB");
    }
    CatalogBuilder all;
    for (const Environment& environment : others.environments()) {
      if (environment.catalog_file != file_) all.lay_over(environment);
    }
    for (Environment& environment : parse_catalog(text, file_)) {
      all.lay_over(std::move(environment));
    }
    static_cast<void>(all.build());
    return text;
  }

  /// Validates the new content, and writes it.
  void write(const Catalog& others, mode_t most_rights) const {
    replace_file(target(), text(others), mode() & most_rights);
  }

 private:
  static OrderedJson empty() {
    return {{"catalog_version", "1"}, {"environments", OrderedJson::array()}};
  }

  [[nodiscard]] FileLock lock(const std::stop_token& stop) const {
    const std::string name = "." + file_.filename().string() + ".lock";
    try {
      return FileLock::acquire(directory_.get(), name, file_.parent_path() / name,
                               {.timeout = kCatalogLockTimeout, .stop = stop, .on_wait = {}});
    } catch (const Error& error) {
      if (error.code() != ErrorCode::busy) throw;
      throw Error(ErrorCode::busy, "another process changes the catalog " + file_.string(),
                  "try again later");
    }
  }

  [[nodiscard]] bool is_there() const {
    struct stat status {};
    if (::stat(file_.c_str(), &status) != 0) {
      if (errno == ENOENT && ::lstat(file_.c_str(), &status) != 0) return false;
      throw system_error("cannot look at " + file_.string(), errno);
    }
    if (S_ISREG(status.st_mode)) return true;
    throw Error(ErrorCode::filesystem, file_.string() + " is not a regular file");
  }

  [[nodiscard]] OrderedJson read() const {
    const std::string text = read_catalog_text(file_);
    static_cast<void>(parse_catalog(text, file_));
    return parse_ordered_json(text, ErrorCode::failed);
  }

  /// The file itself is replaced, and not a link to it.
  [[nodiscard]] fs::path target() const {
    std::error_code error;
    const fs::path real = fs::canonical(file_, error);
    return error ? file_ : real;
  }

  [[nodiscard]] mode_t mode() const {
    struct stat status {};
    return ::stat(file_.c_str(), &status) == 0 ? status.st_mode & 0777 : kPublicMode;
  }

  const fs::path& file_;
  Fd directory_;
  FileLock lock_;
  OrderedJson document_;
};

/// Whether entries of `other` take precedence: within a directory the later name does, and files of
/// other directories do.
bool takes_precedence(const fs::path& other, const fs::path& file) {
  return other.parent_path() != file.parent_path() || other > file;
}

void require_free(const std::string& name, bool replace, bool is_own, const fs::path& file,
                  const Catalog& others) {
  const std::string taken = "environment '" + name + "' is there already, ";
  const Environment* const other = others.find(name);
  const bool is_elsewhere = other != nullptr && other->catalog_file != file;
  if (is_elsewhere && other->catalog_file && takes_precedence(*other->catalog_file, file)) {
    throw Error(
        ErrorCode::failed,
        taken + "in " + other->catalog_file->string() + ", which counts more than " + file.string(),
        "choose another name");
  }
  if (replace) return;
  if (is_own) throw Error(ErrorCode::failed, taken + "in " + file.string(), "--force replaces it");
  if (!is_elsewhere) return;
  throw Error(ErrorCode::failed,
              taken + (other->catalog_file ? "in " + other->catalog_file->string() : "built in"),
              "--force puts yours in its place");
}

enum class Put : bool { check, write };

/// Adds `entry` to the file, or replaces the entry of its name; or fails where that would.
Environment put_entry(const fs::path& named, const OrderedJson& entry, bool replace,
                      const Catalog& others, const std::stop_token& stop, Put put = Put::write) {
  try {
    make_directories(named.parent_path());
    const fs::path file = stable_path(named);
    Environment added = read_new_entry(entry, file);
    CatalogEdit editing(file, stop);
    OrderedJson& entries = editing.entries();
    const auto own = find_entry(entries, added.name);
    require_free(added.name, replace, own != entries.end(), file, others);
    if (own != entries.end()) {
      *own = entry;
    } else {
      entries.push_back(entry);
    }
    if (put == Put::check) {
      static_cast<void>(editing.text(others));
    } else {
      editing.write(others, may_hold_a_secret(added) ? kPrivateMode : kPublicMode);
    }
    return added;
  } catch (const Error& error) {
    throw with_catalog_details(named, error);
  }
}

}  // namespace

Environment UserCatalog::add(const NewEnvironment& environment, const Catalog& others,
                             const std::stop_token& stop) const {
  return put_entry(file_, checked_entry(environment, file_), environment.replace, others, stop);
}

Environment UserCatalog::check(const NewEnvironment& environment, const Catalog& others,
                               const std::stop_token& stop) const {
  return put_entry(file_, checked_entry(environment, file_), environment.replace, others, stop,
                   Put::check);
}

Environment UserCatalog::add_entry(const Environment& environment, const Catalog& others,
                                   const std::stop_token& stop, bool replace) const {
  return put_entry(file_, write_entry(environment), replace, others, stop);
}

void UserCatalog::require_replaceable(const std::string& name, const Catalog& others) const {
  require_name(name, EnvironmentKind::environment);
  require_free(name, /*replace=*/true, /*is_own=*/false, stable_path(file_), others);
}

bool UserCatalog::remove(std::string_view name, const std::stop_token& stop) const {
  std::error_code none;
  if (!fs::exists(fs::symlink_status(file_, none))) return false;
  const fs::path file = stable_path(file_);
  try {
    CatalogEdit editing(file, stop);
    OrderedJson& entries = editing.entries();
    const auto own = find_entry(entries, name);
    if (own == entries.end()) return false;
    entries.erase(own);
    // A built-in entry that it replaced comes back, and must not share its install directory.
    editing.write(Catalog::built_in(), kPublicMode);
    return true;
  } catch (const Error& error) {
    throw with_catalog_details(file, error);
  }
}

}  // namespace pyro
