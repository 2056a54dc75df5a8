// WWW-Authenticate: the ways to authenticate that a registry or token server offers.
//
// Source: RFC 9110 sections 11.2, 11.3 and 11.6.1; section 5.6.1.2 for lists with empty elements.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace pyro {

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
