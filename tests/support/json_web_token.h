// Signs JSON web tokens with ES256.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "support/certificates.h"

namespace pyro::testing {

/// The token with the signer's certificate in its header. Throws std::runtime_error when the
/// signer's files are not those of a P-256 key.
std::string sign_token(const nlohmann::json& claims, const KeyPair& signer);

}  // namespace pyro::testing
