// The bytes of a blob on their way through: hashed, counted, and held to their descriptor.
//
// Source: OCI image specification, descriptor.md: size first, then digest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "net/http.h"
#include "net/resumable_body.h"
#include "oci/manifest.h"

namespace pyro {

class VerifiedBody {
 public:
  /// Both must outlive it.
  VerifiedBody(const Descriptor& blob, const BodySink& sink);

  /// Bytes of its front, from an earlier time; verified like the others, and passed on.
  void replay(std::span<const std::byte> bytes);

  /// Makes `request` one for what is missing.
  void prepare(HttpRequest& request) { body_.prepare(request); }
  /// A HeadCheck. @throws Error(integrity) for a Content-Length that is not what is missing.
  void check_head(const HttpResponse& response);
  /// A BodySink. @throws Error(integrity) instead of passing on a byte beyond the blob's size.
  void take(std::span<const std::byte> bytes);
  /// The next request goes to another host, which may do better with ranges.
  void forget_host() { body_.forget_host(); }
  /// The answer has ended.
  /// @throws TransientError when bytes are missing.
  void check_end(const HttpResponse& response);

  [[nodiscard]] std::uint64_t received() const noexcept { return body_.received(); }
  [[nodiscard]] bool is_complete() const noexcept { return body_.received() == blob_.size; }

  /// @throws Error(integrity) unless all of the blob went through, and it was the blob;
  /// NeedsRestart where it was put together out of parts.
  void finish();

  /// Whether it was the sink that threw, whose errors are not about the blob.
  [[nodiscard]] bool sink_failed() const noexcept { return sink_failed_; }

 private:
  void pass_on(std::span<const std::byte> bytes);
  [[nodiscard]] Error mismatch(const std::string& what) const;

  const Descriptor& blob_;
  const BodySink& sink_;
  ResumableBody body_;
  bool is_web_page_ = false;
  std::string encoding_hint_;
  bool sink_failed_ = false;
};

}  // namespace pyro
