// The bytes of a blob on their way through: hashed, counted, and held to their descriptor.
//
// Source: OCI image specification, descriptor.md: size first, then digest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/sha256.h"
#include "net/http.h"
#include "oci/manifest.h"

namespace pyro {

class VerifiedBody {
 public:
  /// Both must outlive it.
  VerifiedBody(const Descriptor& blob, const BodySink& sink) : blob_(blob), sink_(sink) {}

  /// A HeadCheck. @throws Error(integrity) for a Content-Length that is not the blob's size.
  void check_head(const HttpResponse& response);

  /// A BodySink. @throws Error(integrity) instead of passing on a byte beyond the blob's size.
  void take(std::span<const std::byte> bytes);

  /// @throws Error(integrity) unless all of the blob went through, and it was the blob.
  void finish();

  /// Whether it was the sink that threw, whose errors are not about the blob.
  [[nodiscard]] bool sink_failed() const noexcept { return sink_failed_; }

 private:
  [[nodiscard]] Error mismatch(const std::string& what) const;

  const Descriptor& blob_;
  const BodySink& sink_;
  Sha256 hash_;
  std::uint64_t received_ = 0;
  bool is_web_page_ = false;
  bool sink_failed_ = false;
};

}  // namespace pyro
