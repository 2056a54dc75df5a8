// pyro::Error, and the failures that become one.
#include "base/errors.h"

#include <exception>
#include <new>
#include <string>
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

Error caught_error() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::failed, "out of memory"};
  } catch (const std::exception& error) {
    return {ErrorCode::failed, std::string("unexpected failure: ") + error.what()};
  } catch (...) {
    return {ErrorCode::failed, "unexpected failure"};
  }
}

}  // namespace pyro
