// The bytes of a blob on their way through.
#include "oci/verified_body.h"

#include <string>

#include "base/recoverable.h"

namespace pyro {
namespace {

constexpr int kOk = 200;
constexpr int kPartialContent = 206;

}  // namespace

VerifiedBody::VerifiedBody(const Descriptor& blob, const BodySink& sink)
    : blob_(blob),
      sink_(sink),
      body_([this](std::span<const std::byte> bytes) { pass_on(bytes); },
            ResumableBody::Content::addressed) {}

void VerifiedBody::replay(std::span<const std::byte> bytes) {
  body_.replay(bytes);
}

void VerifiedBody::check_head(const HttpResponse& response) {
  is_web_page_ = response.media_type() == "text/html";
  encoding_hint_ = response.encoding_hint();
  const bool is_partial = response.status == kPartialContent && received() > 0;
  if (response.status != kOk && !is_partial) {
    throw Error(ErrorCode::network, "the registry answered " + std::to_string(response.status) +
                                        ", which was not asked for");
  }
  body_.check_head(response);
  const std::uint64_t expected = is_partial ? blob_.size - received() : blob_.size;
  for (const std::string& length : response.headers.get_all("Content-Length")) {
    if (length != std::to_string(expected)) {
      throw mismatch("it should have " + std::to_string(expected) + " bytes, but " + length +
                     " are offered");
    }
  }
}

void VerifiedBody::take(std::span<const std::byte> bytes) {
  body_.take(bytes);
}

void VerifiedBody::pass_on(std::span<const std::byte> bytes) {
  if (received() > blob_.size) {
    throw mismatch("it is longer than the " + std::to_string(blob_.size) + " bytes it should have");
  }
  try {
    sink_(bytes);
  } catch (...) {
    sink_failed_ = true;
    throw;
  }
}

void VerifiedBody::check_end(const HttpResponse& response) {
  if (!response.ok()) return body_.check_end(response);
  if (is_complete()) return;
  // With a proper end of its own it was not cut short: there is no more.
  if (response.headers.get("Transfer-Encoding")) {
    throw mismatch("it has " + std::to_string(received()) + " bytes instead of " +
                   std::to_string(blob_.size));
  }
  const std::string what = "the answer ended after " + std::to_string(received()) + " of " +
                           std::to_string(blob_.size) + " bytes";
  throw TransientError(is_web_page_ ? mismatch(what) : Error(ErrorCode::network, what));
}

void VerifiedBody::finish() {
  const Digest digest = body_.digest();
  if (is_complete() && digest == blob_.digest) return;
  const Error error = mismatch("its digest is " + digest.to_string());
  if (body_.is_stitched()) throw NeedsRestart(error);
  throw error;
}

Error VerifiedBody::mismatch(const std::string& what) const {
  if (!is_web_page_) return Error(ErrorCode::integrity, what, encoding_hint_);
  Error error(ErrorCode::integrity, "what came is a web page (text/html)",
              "a captive portal or a proxy's login page may have answered in the registry's place");
  error.add_context(what);
  return error;
}

}  // namespace pyro
