// The answers of a registry or token server that refuses: status, errors, challenges.
//
// Source: OCI distribution specification, "Error Codes"; RFC 9110 sections 11.2, 11.3 and 11.6.1
// for challenges, section 5.6.1.2 for lists with empty elements.
#pragma once

#include <map>
#include <string>
#include <vector>

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

/// A way to authenticate that a server offers.
struct Challenge {
  std::string scheme;                             ///< In lower case: "bearer".
  std::string token68;                            ///< For Negotiate and NTLM.
  std::map<std::string, std::string> parameters;  ///< Names in lower case, values unquoted.
};

/// The challenges of all WWW-Authenticate fields of one response, in order. A field is read up to
/// its first error; the challenge with the error is left out.
[[nodiscard]] std::vector<Challenge> parse_challenges(const std::vector<std::string>& fields);

}  // namespace pyro
