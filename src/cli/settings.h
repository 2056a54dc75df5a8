// What pyro is told before any command: global options and environment variables.
//
// Source: spec sections 3, 4, 6 and 9 for the variables.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/variables.h"
#include "pyro/environment_store.h"

namespace pyro::cli {

/// The options that stand before or after any command.
struct GlobalOptions {
  std::optional<std::string> cache_dir;
  std::vector<std::string> catalogs;
  std::optional<std::string> runtime_dir;
  std::optional<std::string> ca_file = {};
  std::vector<std::string> trusted_realms = {};
  std::vector<std::string> stores = {};
  bool offline = false;
  int verbosity = 0;  ///< How often -v was given.
  bool version = false;
  bool help = false;
};

/// Where `pyro env add` keeps what it adds; nothing when nobody says where the user's configuration
/// is.
[[nodiscard]] std::optional<std::filesystem::path> user_catalog_file(const Variables& variables);

/// Options first, then variables, then defaults; loads the catalog.
/// @throws Error when a catalog is bad, a variable cannot be understood, or nothing says where the
/// cache is.
[[nodiscard]] StoreOptions store_options(const GlobalOptions& options, const Variables& variables);

}  // namespace pyro::cli
