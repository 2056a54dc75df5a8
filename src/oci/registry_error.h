// The answers of a registry or token server that refuses: status and errors.
//
// Source: OCI distribution specification, "Error Codes".
#pragma once

#include <string>

#include "net/http.h"
#include "pyro/error.h"

namespace pyro {

/// "403 DENIED: requested access to the resource is denied": the status and, if the body is the
/// JSON of the specification, its codes and messages, at most 8 KiB of them.
[[nodiscard]] std::string describe_answer(const HttpResponse& response);

/// The registry does not have the manifest or blob.
class NotThere : public Error {
 public:
  explicit NotThere(const Error& error) : Error(error) {}
};

/// Throws `error`, which is about `response`, as NotThere, or as throw_by_status() does.
[[noreturn]] void throw_registry_error(const Error& error, const HttpResponse& response);

/// Error(network) "<speaker> answered <describe_answer()>", with the URL as cause and a hint for
/// the status.
[[nodiscard]] Error registry_refusal(const std::string& speaker, const HttpResponse& response);

/// A HeadCheck for responses of a registry.
/// @throws Error(network) for a web page.
void refuse_page_of_registry(const HttpResponse& response);

}  // namespace pyro
