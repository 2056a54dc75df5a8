// The results of one command over several names.
#include "cli/commands/outcomes.h"

#include <utility>

#include "cli/error_output.h"

namespace pyro::cli {

void Outcomes::for_each(const std::vector<std::string>& names,
                        const std::function<Json(const std::string& name)>& each) {
  if (names.size() == 1) return add(each(names.front()));
  for (const std::string& name : names) {
    if (context_.stop.stop_requested()) {
      add_failure(name, Error(ErrorCode::interrupted, "interrupted before it began"));
      continue;
    }
    try {
      add(each(name));
    } catch (const Error& error) {
      context_.err.try_write(render_error(error, context_.err));
      add_failure(name, error);
    }
  }
}

void Outcomes::note(ErrorCode code) noexcept {
  if (exit_code_ == kDone) exit_code_ = cli::exit_code(code);
}

void Outcomes::add(Json payload) {
  if (!payload.is_null()) payloads_.push_back(std::move(payload));
}

void Outcomes::add_failure(const std::string& name, const Error& error) {
  note(error.code());
  add(failure_payload(name, error));
}

}  // namespace pyro::cli
