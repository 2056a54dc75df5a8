// The catalog file that pyro keeps for its user.
#include "pyro/user_catalog.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>
#include <ranges>
#include <system_error>
#include <utility>
#include <vector>

#include "base/ascii.h"
#include "base/file_lock.h"
#include "base/files.h"
#include "base/replace_file.h"
#include "base/strict_json.h"
#include "catalog/catalog_builder.h"
#include "catalog/catalog_file.h"
#include "catalog/entry_reader.h"
#include "catalog/entry_writer.h"
#include "catalog/names.h"

namespace pyro {
namespace {

namespace fs = std::filesystem;
/// In the order in which it was written, by whomever.
using OrderedJson = nlohmann::ordered_json;

/// A change takes a moment.
constexpr std::chrono::seconds kPatience{10};
constexpr mode_t kForEverybody = 0644;
constexpr mode_t kForTheOwner = 0600;

void require_names(const NewEnvironment& environment) {
  if (!is_environment_name(environment.name)) {
    throw Error(ErrorCode::usage, "'" + environment.name + "' is not a name for an environment",
                "a name looks like 'tool:1': a-z 0-9 . _ - and at most one ':' before a tag");
  }
  if (!is_version(environment.version)) {
    throw Error(ErrorCode::usage, "'" + environment.version + "' is not a version",
                "a version looks like '1.0.0': letters, digits, . _ + -");
  }
}

/// The folder that it would have in a runtime bundle.
std::string profile_for(const std::string& name) {
  std::string profile = to_lower(name);
  std::ranges::replace(profile, ':', '-');
  return profile;
}

OrderedJson entry_of(const NewEnvironment& environment) {
  const EnvironmentSource& source = environment.source;
  OrderedJson entry = {
      {"name", environment.name},
      {"version", environment.version},
      {"description",
       environment.description.empty() ? "Added with 'pyro env add'." : environment.description},
      {"default_packages", OrderedJson::array()},
      {"distribution", "unknown"},
      {"distribution_version", ""},
      {"source_profile", profile_for(environment.name)}};
  const auto put = [&](const char* field, const std::optional<std::string>& value) {
    if (value) entry[field] = *value;
  };
  put("oci_registry", source.oci_registry);
  put("oci_repository", source.oci_repository);
  put("oci_reference", source.oci_reference);
  if (source.oci_digest) entry["oci_digest"] = source.oci_digest->to_string();
  put("source_url", source.source_url);
  if (environment.source_sha256) entry["source_sha256"] = environment.source_sha256->hex();
  return entry;
}

/// What the entry will be read as.
/// @throws Error(usage): whoever asks for it gave what is wrong.
Environment read_new_entry(const OrderedJson& entry, const fs::path& file) {
  try {
    return read_entry(nlohmann::json(entry), 0, file);
  } catch (const Error& error) {
    throw Error(ErrorCode::usage, error.what(), error.hint());
  }
}

OrderedJson::iterator find_entry(OrderedJson& entries, std::string_view name) {
  return std::ranges::find_if(entries,
                              [&](const OrderedJson& entry) { return entry["name"] == name; });
}

/// A login in it, or what may be a signature.
bool may_hold_a_secret(const Environment& environment) {
  return environment.source_url && environment.source_url->find("://") != std::string::npos &&
         environment.source_url->find_first_of("@?") != std::string::npos;
}

/// What went wrong with `file`, with a hint for one that is not in the cache.
Error about(const fs::path& file, const Error& error) {
  if (error.code() != ErrorCode::filesystem) return error;
  std::vector<std::string> texts{error.message()};
  texts.insert(texts.end(), error.causes().begin(), error.causes().end());
  Error told(error.code(), texts.back(),
             "check the owner, the mode and the free space of its directory");
  for (const std::string& text : texts | std::views::reverse | std::views::drop(1)) {
    told.add_context(text);
  }
  return told.add_context("cannot change the catalog " + file.string());
}

/// The user's file, held against others who would change it.
class Editing {
 public:
  Editing(const fs::path& file, const std::stop_token& stop)
      : file_(file),
        directory_(make_and_open_directory(file.parent_path())),
        lock_(lock(stop)),
        document_(is_there() ? read() : empty()) {}

  /// Each was checked when it was read.
  [[nodiscard]] OrderedJson& entries() { return document_["environments"]; }

  /// Checks it as whoever reads it will, and writes it.
  void write(const Catalog& others, mode_t most_rights) const {
    const std::string text = document_.dump(2) + '\n';
    if (text.size() > kLargestCatalogFile) {
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
    replace_file(target(), text, mode() & most_rights);
  }

 private:
  static OrderedJson empty() {
    return {{"catalog_version", "1"}, {"environments", OrderedJson::array()}};
  }

  [[nodiscard]] FileLock lock(const std::stop_token& stop) const {
    const std::string name = "." + file_.filename().string() + ".lock";
    try {
      return FileLock::acquire(directory_.get(), name, file_.parent_path() / name,
                               {.timeout = kPatience, .stop = stop, .on_wait = {}});
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

  /// Who keeps it elsewhere and links it here means that file.
  [[nodiscard]] fs::path target() const {
    std::error_code error;
    const fs::path real = fs::canonical(file_, error);
    return error ? file_ : real;
  }

  [[nodiscard]] mode_t mode() const {
    struct stat status {};
    return ::stat(file_.c_str(), &status) == 0 ? status.st_mode & 0777 : kForEverybody;
  }

  const fs::path& file_;
  Fd directory_;
  FileLock lock_;
  OrderedJson document_;
};

/// Where an entry of `file` would not count: catalogs of one directory count by name, and all
/// others more than those.
bool counts_more(const fs::path& other, const fs::path& file) {
  return other.parent_path() != file.parent_path() || other > file;
}

void require_free(const std::string& name, bool replace, bool is_own, const fs::path& file,
                  const Catalog& others) {
  const std::string taken = "environment '" + name + "' is there already, ";
  const Environment* const other = others.find(name);
  const bool is_elsewhere = other != nullptr && other->catalog_file != file;
  if (is_elsewhere && other->catalog_file && counts_more(*other->catalog_file, file)) {
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

/// Puts `entry` into `file`, in place of one of its name if there is one that it may replace.
Environment put_entry(const fs::path& named, const OrderedJson& entry, bool replace,
                      const Catalog& others, const std::stop_token& stop) {
  try {
    make_directories(named.parent_path());
    const fs::path file = stable_path(named);
    Environment added = read_new_entry(entry, file);
    Editing editing(file, stop);
    OrderedJson& entries = editing.entries();
    const auto own = find_entry(entries, added.name);
    require_free(added.name, replace, own != entries.end(), file, others);
    if (own != entries.end()) {
      *own = entry;
    } else {
      entries.push_back(entry);
    }
    editing.write(others, may_hold_a_secret(added) ? kForTheOwner : kForEverybody);
    return added;
  } catch (const Error& error) {
    throw about(named, error);
  }
}

}  // namespace

Environment UserCatalog::add(const NewEnvironment& environment, const Catalog& others,
                             const std::stop_token& stop) const {
  require_names(environment);
  OrderedJson entry = entry_of(environment);
  // Before anything is made for what will not be.
  const Environment wanted = read_new_entry(entry, file_);
  if (wanted.source_sha256) {  // out of the URL, to where everybody looks for it
    entry["source_url"] = *wanted.source_url;
    entry["source_sha256"] = wanted.source_sha256->hex();
  }
  return put_entry(file_, entry, environment.replace, others, stop);
}

Environment UserCatalog::add_entry(const Environment& environment, const Catalog& others,
                                   const std::stop_token& stop) const {
  return put_entry(file_, write_entry(environment), /*replace=*/false, others, stop);
}

bool UserCatalog::remove(std::string_view name, const std::stop_token& stop) const {
  std::error_code none;
  if (!fs::exists(fs::symlink_status(file_, none))) return false;
  const fs::path file = stable_path(file_);
  try {
    Editing editing(file, stop);
    OrderedJson& entries = editing.entries();
    const auto own = find_entry(entries, name);
    if (own == entries.end()) return false;
    entries.erase(own);
    // What it stood in front of comes back, and must have its install directory for itself.
    editing.write(Catalog::built_in(), kForEverybody);
    return true;
  } catch (const Error& error) {
    throw about(file, error);
  }
}

}  // namespace pyro
