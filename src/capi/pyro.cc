// The C API of the store.
#include "pyro/pyro.h"

#include <cstdlib>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "capi/calls.h"
#include "capi/options.h"
#include "front/documents.h"
#include "front/settings.h"
#include "pyro/environment_store.h"

namespace {

using namespace pyro::capi;

/// "NAME=value" strings as environ has them; the first of a name counts, as for getenv().
pyro::Variables variables_of(char* const* strings) {
  std::map<std::string, std::string, std::less<>> values;
  for (; strings != nullptr && *strings != nullptr; ++strings) {
    const std::string_view text(*strings);
    const std::size_t equals = text.find('=');
    if (equals != text.npos) values.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return [values = std::move(values)](const char* name) -> std::optional<std::string> {
    const auto found = values.find(std::string_view(name));
    if (found == values.end() || found->second.empty()) return std::nullopt;
    return found->second;
  };
}

}  // namespace

const char* pyro_version(void) {
  return PYRO_VERSION;
}

void pyro_free(char* document) {
  std::free(document);  // NOLINT(cppcoreguidelines-no-malloc): strdup() made it.
}

pyro_store* pyro_store_open(const char* options, char* const* variables, char** error) {
  return guarded(error, [&] {
    const pyro::Variables values = variables_of(variables);
    pyro::MachineOptions machine;
    pyro::apply_variables(values, machine);
    return new pyro_store{parse_store_options(optional(options), values), machine};
  });
}

void pyro_store_close(pyro_store* store) {
  delete store;
}

char* pyro_store_describe(const pyro_store* store, char** error) {
  return answer(store, error, [](const pyro::EnvironmentStore& environments) {
    return pyro::store_payload(environments.options());
  });
}

char* pyro_store_list(const pyro_store* store, char** error) {
  return answer(store, error, [](const pyro::EnvironmentStore& environments) {
    return pyro::list_payload(environments.list());
  });
}

char* pyro_store_inspect(const pyro_store* store, const char* name, char** error) {
  return answer(store, error, [&](const pyro::EnvironmentStore& environments) {
    return pyro::inspect_payload(environments.inspect(required(name)));
  });
}

pyro_operation* pyro_operation_new(pyro_progress progress, void* context) {
  return guarded(nullptr, [&] { return new pyro_operation{progress, context}; });
}

void pyro_operation_stop(pyro_operation* operation) {
  if (operation != nullptr) operation->stop.request_stop();
}

void pyro_operation_free(pyro_operation* operation) {
  delete operation;
}

char* pyro_store_ensure_installed(const pyro_store* store, const char* name,
                                  pyro_operation* operation, char** error) {
  return answer(store, error, [&](pyro::EnvironmentStore& environments) {
    Watch watch(operation);
    return pyro::installed_payload(
        environments.ensure_installed(required(name), watch.pull(pyro::PullMode::ensure)));
  });
}

char* pyro_store_pull(const pyro_store* store, const char* name, const char* options,
                      pyro_operation* operation, char** error) {
  return answer(store, error, [&](pyro::EnvironmentStore& environments) {
    const pyro::PullMode mode = parse_pull_options(optional(options));
    Watch watch(operation);
    return pyro::pull_payload(environments.pull(required(name), watch.pull(mode)));
  });
}

char* pyro_store_verify(const pyro_store* store, const char* name, pyro_operation* operation,
                        char** error) {
  return answer(store, error, [&](const pyro::EnvironmentStore& environments) {
    Watch watch(operation);
    return pyro::verify_payload(
        environments.verify(required(name), watch.stop(), watch.listener()));
  });
}

char* pyro_store_prune(const pyro_store* store, const char* options, char** error) {
  return answer(store, error, [&](pyro::EnvironmentStore& environments) {
    return pyro::prune_payload(environments.prune(parse_prune_options(optional(options))));
  });
}
