// What a server wants to see before it answers: the challenges of WWW-Authenticate.
//
// Source: RFC 9110 sections 11.2, 11.3 and 11.6.1; lists with empty elements by section 5.6.1.2.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace pyro {

struct Challenge {
  std::string scheme;                             ///< In lower case: "bearer".
  std::string token68;                            ///< What Negotiate and NTLM use.
  std::map<std::string, std::string> parameters;  ///< Names in lower case, values unquoted.
};

/// The challenges of all WWW-Authenticate fields of one answer, in their order. A field is read up
/// to its first fault; the challenge that has the fault is left out.
[[nodiscard]] std::vector<Challenge> parse_challenges(const std::vector<std::string>& fields);

}  // namespace pyro
