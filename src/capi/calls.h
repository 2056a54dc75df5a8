// What all calls of the C API need: documents, errors, progress, a stop. No exception leaves a
// call.
#pragma once

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <new>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/errors.h"
#include "front/documents.h"
#include "pyro/environment_store.h"
#include "pyro/error.h"
#include "pyro/machine.h"
#include "pyro/pyro.h"

// Every call makes an EnvironmentStore, which costs next to nothing.
struct pyro_store {
  const pyro::StoreOptions options;
  const pyro::MachineOptions machine;
};

struct pyro_operation {
  pyro_progress progress;
  void* context;
  std::stop_source stop{};
};

namespace pyro::capi {

/// Released by pyro_free(); null without memory.
inline char* document(const Json& payload) {
  return ::strdup(render_json_line(payload).c_str());
}

/// Stores the exception being handled; null without memory for it.
inline void store_error(char** error) noexcept {
  if (error == nullptr) return;
  *error = nullptr;
  try {
    *error = document(error_payload(caught_error()));
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
    EnvironmentStore environments(store->options);
    char* const text = document(work(environments));
    if (text == nullptr) throw std::bad_alloc();
    return text;
  });
}

inline std::string_view required(const char* name) {
  if (name == nullptr) throw Error(ErrorCode::usage, "there is no name of an environment");
  return name;
}

inline std::string_view optional(const char* text) {
  return text == nullptr ? std::string_view() : text;
}

/// The listener and stop token of one call.
class Watch {
 public:
  explicit Watch(const pyro_operation* operation)
      : operation_(operation),
        view_([this](const Json& event) { tell(event); }, std::chrono::steady_clock::now) {
    view_.set_verbosity(1);
  }

  [[nodiscard]] ProgressListener* listener() noexcept {
    return operation_ != nullptr && operation_->progress != nullptr ? &view_ : nullptr;
  }

  [[nodiscard]] std::stop_token stop() const noexcept {
    return operation_ == nullptr ? std::stop_token() : operation_->stop.get_token();
  }

  [[nodiscard]] PullOptions pull(PullMode mode) noexcept {
    return {.mode = mode, .progress = listener(), .stop = stop()};
  }

 private:
  void tell(const Json& event) const {
    operation_->progress(operation_->context, render_json_line(event).c_str());
  }

  const pyro_operation* operation_;
  ProgressEvents view_;
};

}  // namespace pyro::capi
