// pyro::Error: message, causes and hint of a failure.
#include "pyro/error.h"

#include <utility>

namespace pyro {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::failed:
      return "failed";
    case ErrorCode::usage:
      return "usage";
    case ErrorCode::not_found:
      return "not_found";
    case ErrorCode::network:
      return "network";
    case ErrorCode::integrity:
      return "integrity";
    case ErrorCode::filesystem:
      return "filesystem";
    case ErrorCode::busy:
      return "busy";
    case ErrorCode::interrupted:
      return "interrupted";
  }
  return "failed";
}

Error::Error(ErrorCode code, std::string message, std::string hint)
    : code_(code), message_(std::move(message)), hint_(std::move(hint)) {
  render();
}

Error& Error::add_context(std::string message) {
  causes_.insert(causes_.begin(), std::move(message_));
  message_ = std::move(message);
  render();
  return *this;
}

Error& Error::add_hint(std::string hint) {
  if (hint_.empty()) hint_ = std::move(hint);
  return *this;
}

void Error::render() {
  what_ = message_;
  for (const std::string& cause : causes_) what_ += ": " + cause;
}

}  // namespace pyro
