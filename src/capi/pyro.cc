// The C API. No exception leaves a function.
#include "pyro/pyro.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include "base/errors.h"
#include "capi/options.h"
#include "front/documents.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"

// Every call makes an EnvironmentStore, which costs next to nothing.
struct pyro_store {
  const pyro::StoreOptions options;
};

struct pyro_operation {
  pyro_progress progress;
  void* context;
  std::stop_source stop{};
};

namespace {

using pyro::Error;
using pyro::ErrorCode;
using pyro::Json;

/// Released by pyro_free(); null without memory.
char* document(const Json& payload) {
  return ::strdup(pyro::render_json_line(payload).c_str());
}

/// Stores the exception being handled; null without memory for it.
void store_error(char** error) noexcept {
  if (error == nullptr) return;
  *error = nullptr;
  try {
    *error = document(pyro::error_payload(pyro::caught_error()));
  } catch (...) {  // NOLINT(bugprone-empty-catch): no memory.
  }
}

/// Returns the result of `work`, or null and its error.
template <typename Work>
auto guarded(char** error, const Work& work) noexcept -> decltype(work()) {
  try {
    return work();
  } catch (...) {
    store_error(error);
    return nullptr;
  }
}

/// Returns the document that `work` makes of a store.
template <typename Work>
char* answer(const pyro_store* store, char** error, const Work& work) noexcept {
  return guarded(error, [&]() -> char* {
    if (store == nullptr) throw Error(ErrorCode::usage, "there is no store");
    pyro::EnvironmentStore environments(store->options);
    char* const text = document(work(environments));
    if (text == nullptr) throw std::bad_alloc();
    return text;
  });
}

std::string_view required(const char* name) {
  if (name == nullptr) throw Error(ErrorCode::usage, "there is no name of an environment");
  return name;
}

std::string_view optional(const char* text) {
  return text == nullptr ? std::string_view() : text;
}

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

/// The listener and stop token of one call.
class Watch {
 public:
  explicit Watch(const pyro_operation* operation)
      : operation_(operation),
        view_([this](const Json& event) { tell(event); }, std::chrono::steady_clock::now) {
    view_.set_verbosity(1);
  }

  [[nodiscard]] pyro::ProgressListener* listener() noexcept {
    return operation_ != nullptr && operation_->progress != nullptr ? &view_ : nullptr;
  }

  [[nodiscard]] std::stop_token stop() const noexcept {
    return operation_ == nullptr ? std::stop_token() : operation_->stop.get_token();
  }

  [[nodiscard]] pyro::PullOptions pull(pyro::PullMode mode) noexcept {
    return {.mode = mode, .progress = listener(), .stop = stop()};
  }

 private:
  void tell(const Json& event) const {
    operation_->progress(operation_->context, pyro::render_json_line(event).c_str());
  }

  const pyro_operation* operation_;
  pyro::ProgressEvents view_;
};

}  // namespace

const char* pyro_version(void) {
  return PYRO_VERSION;
}

void pyro_free(char* document) {
  std::free(document);  // NOLINT(cppcoreguidelines-no-malloc): strdup() made it.
}

pyro_store* pyro_store_open(const char* options, char* const* variables, char** error) {
  return guarded(error, [&] {
    return new pyro_store{
        pyro::capi::parse_store_options(optional(options), variables_of(variables))};
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
    const pyro::PullMode mode = pyro::capi::parse_pull_options(optional(options));
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
    return pyro::prune_payload(
        environments.prune(pyro::capi::parse_prune_options(optional(options))));
  });
}
