// What a registry or a token server says when it says no.
//
// Source: OCI distribution specification, "Error Codes"; limits in section 0 of the reliability
// notes.
#pragma once

#include <string>

#include "net/http.h"
#include "pyro/error.h"

namespace pyro {

/// "403 DENIED: requested access to the resource is denied": the status and, where the body is the
/// specification's JSON, its codes and messages, at most 8 KiB of them.
[[nodiscard]] std::string describe_answer(const HttpResponse& response);

/// There is no such manifest or blob where it was asked for.
class NotThere : public Error {
 public:
  explicit NotThere(const Error& error) : Error(error) {}
};

/// Throws `error`, which is about `response`: as NotThere, or as throw_refusal() does.
[[noreturn]] void throw_answer(const Error& error, const HttpResponse& response);

/// Error(network) "<who> answered <describe_answer()>" with the URL as cause and what can be done
/// about that status as hint.
[[nodiscard]] Error refused_answer(const std::string& who, const HttpResponse& response);

/// A HeadCheck for what a registry is to answer.
/// @throws Error(network) for an answer that is for people.
void refuse_page_of_registry(const HttpResponse& response);

}  // namespace pyro
