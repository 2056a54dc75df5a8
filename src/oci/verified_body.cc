// The bytes of a blob on their way through.
#include "oci/verified_body.h"

#include <string>

namespace pyro {

void VerifiedBody::check_head(const HttpResponse& response) {
  is_web_page_ = response.media_type() == "text/html";
  if (response.status != 200) {
    throw Error(ErrorCode::network, "the registry answered " + std::to_string(response.status) +
                                        ", which was not asked for");
  }
  for (const std::string& length : response.headers.get_all("Content-Length")) {
    if (length != std::to_string(blob_.size)) {
      throw mismatch("it should have " + std::to_string(blob_.size) + " bytes, but " + length +
                     " are offered");
    }
  }
}

void VerifiedBody::take(std::span<const std::byte> bytes) {
  if (bytes.size() > blob_.size - received_) {
    throw mismatch("it is longer than the " + std::to_string(blob_.size) + " bytes it should have");
  }
  received_ += bytes.size();
  hash_.update(bytes);
  try {
    sink_(bytes);
  } catch (...) {
    sink_failed_ = true;
    throw;
  }
}

void VerifiedBody::finish() {
  if (received_ != blob_.size) {
    throw mismatch("it has " + std::to_string(received_) + " bytes instead of " +
                   std::to_string(blob_.size));
  }
  const Digest digest = hash_.finish();
  if (digest != blob_.digest) throw mismatch("its digest is " + digest.to_string());
}

Error VerifiedBody::mismatch(const std::string& what) const {
  if (!is_web_page_) return Error(ErrorCode::integrity, what);
  Error error(ErrorCode::integrity, "what came is a web page (text/html)",
              "a login page of this network may have answered in the registry's place");
  error.add_context(what);
  return error;
}

}  // namespace pyro
