// What a command works with: options given for every command, and the process's surroundings.
//
// Source: spec sections 3, 4, 6 and 9 for the variables. The only place that reads them.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/terminal.h"
#include "pyro/environment_store.h"

namespace pyro::cli {

/// The value of an environment variable; nothing when it is unset or empty.
using Variables = std::function<std::optional<std::string>(const char* name)>;

/// Those of this process.
[[nodiscard]] std::optional<std::string> process_variable(const char* name);

/// The options that stand before or after any command.
struct GlobalOptions {
  std::optional<std::string> cache_dir;
  std::vector<std::string> catalogs;
  std::optional<std::string> runtime_dir;
  std::optional<std::string> ca_file = {};
  bool offline = false;
  int verbosity = 0;  ///< How often -v was given.
  bool version = false;
  bool help = false;
};

void declare(Arguments& arguments, GlobalOptions& options);

struct Context {
  StoreOptions store;
  std::stop_token stop;
  Terminal out;
  Terminal err;
  int verbosity = 0;  ///< How often -v was given.
  Variables variables = {};
  /// What stood behind "--", for a command that is to run in a guest; nothing without a "--".
  std::optional<std::vector<std::string>> guest_command = {};
};

/// Standard output and standard error. TERM=dumb cannot redraw, NO_COLOR is obeyed.
[[nodiscard]] Terminal standard_terminal(int fd, const Variables& variables);

/// Where `pyro env add` keeps what it adds; nothing when nobody says where the user's configuration
/// is.
[[nodiscard]] std::optional<std::filesystem::path> user_catalog_file(const Variables& variables);

/// Options first, then variables, then defaults; loads the catalog.
/// @throws Error when a catalog is bad, or nothing says where the cache is.
[[nodiscard]] StoreOptions store_options(const GlobalOptions& options, const Variables& variables);

}  // namespace pyro::cli
