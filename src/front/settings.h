// The settings of a front end: environment variables, and options that override them.
//
// docs/commands.md lists the variables. Source: containers-auth.json(5), -registries.conf(5) and
// -certs.d(5) for registries; everything.curl.dev for proxies.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/environment_store.h"
#include "pyro/machine.h"

namespace pyro {

/// The value of an environment variable; nothing when it is unset or empty.
using Variables = std::function<std::optional<std::string>(const char* name)>;

/// A variable of this process. Not safe while another thread sets variables.
[[nodiscard]] std::optional<std::string> process_variable(const char* name);

/// Settings that take precedence over the variables: for example options of a command line.
struct SettingOverrides {
  std::optional<std::string> cache_dir;
  std::vector<std::string> catalogs;
  std::optional<std::string> runtime_dir;
  std::optional<std::string> ca_file = {};
  std::vector<std::string> trusted_realms = {};
  std::vector<std::string> stores = {};
  bool offline = false;
};

/// The store that an administrator installed for all users of the host.
inline constexpr const char* kHostStore = "/usr/share/pyro/environments";

/// The catalog file that `pyro env add` writes; nothing when neither HOME nor XDG_CONFIG_HOME is
/// set.
[[nodiscard]] std::optional<std::filesystem::path> user_catalog_file(const Variables& variables);

/// Overrides first, then variables, then defaults; loads the catalog files.
/// @throws Error(usage) for a variable that cannot be understood; (failed) for a bad catalog, or
/// if no setting names the cache; (filesystem) for catalogs that cannot be read.
[[nodiscard]] StoreOptions store_options(const SettingOverrides& overrides,
                                         const Variables& variables);

/// The network of that name (to_string()); nothing for another.
[[nodiscard]] std::optional<GuestNetwork> parse_network(std::string_view name);

/// Sets the monitor by find_monitor(), and the use of KVM from PYRO_KVM unless the options restrict
/// it already. PYRO_PREPARE says whether runs leave states, PYRO_STATE_KEY and the directory of
/// states (XDG_STATE_HOME) with which key.
/// @throws Error(usage) for another value of PYRO_KVM than 'off' and 'require', or of PYRO_PREPARE
/// than 'never'
void apply_variables(const Variables& variables, MachineOptions& options);

}  // namespace pyro
