// One body that may take several answers to arrive.
//
// Source: RFC 9110 section 14; section 3.4 of the reliability notes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/sha256.h"
#include "net/http.h"

namespace pyro {

/// Asks for what is missing, and passes each byte on once and in order, whatever the server makes
/// of the range: where it sends all from the start, what was passed on already is compared and
/// dropped.
class ResumableBody {
 public:
  enum class Content {
    addressed,  ///< The URL names these very bytes.
    named,      ///< The URL may lead to others the next time.
  };

  ResumableBody(BodySink sink, Content content) : sink_(std::move(sink)), content_(content) {}

  /// The next bytes of the body, known from an earlier time.
  void replay(std::span<const std::byte> bytes);

  /// Makes `request` one for what is missing.
  void prepare(HttpRequest& request);

  /// The next request goes to another host: what the last one said of ranges and lengths is void.
  void forget_host();

  /// A HeadCheck.
  /// @throws TransientError for a range that was not asked for; the next request asks for none.
  void check_head(const HttpResponse& response);
  /// A BodySink.
  void take(std::span<const std::byte> bytes);
  /// The answer has ended, be it a refusal of the range.
  /// @throws TransientError when that is not the whole body; NeedsRestart when it is another one.
  void check_end(const HttpResponse& response);

  /// Bytes passed on so far.
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  /// How many bytes the answer that has begun should bring, if it says so.
  [[nodiscard]] std::optional<std::uint64_t> total() const noexcept { return total_; }
  /// Whether it was put together out of several answers, or begun at an earlier time.
  [[nodiscard]] bool is_stitched() const noexcept { return is_stitched_; }
  /// The digest of all that was passed on.
  [[nodiscard]] Digest digest() { return hash_.finish(); }

 private:
  void check_partial(const HttpResponse& response);
  void begin_over();
  void pass_on(std::span<const std::byte> bytes);

  BodySink sink_;
  Content content_;
  Sha256 hash_;
  std::uint64_t received_ = 0;
  std::optional<std::uint64_t> total_;
  std::string validator_;  // of the representation, for If-Range
  bool is_stitched_ = false;
  bool use_ranges_ = true;

  std::uint64_t to_compare_ = 0;  // bytes at the front of this answer that are known
  Sha256 compared_;
};

}  // namespace pyro
