// Resume and restart: a body over several responses, a pull over several attempts.
//
// Source: RFC 9110 section 14.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "base/hash.h"
#include "net/http.h"

namespace pyro {

/// One pull over all its attempts.
///
/// Bytes that were passed on cannot be taken back. When they turn out to be wrong, the pull starts
/// again from the beginning, without the mirrors that sent them.
class PullSession {
 public:
  /// Call before each attempt.
  void begin_attempt() noexcept;

  /// Mirrors are named by host and repository. False when this one had failed before.
  bool mark_failed(const std::string& mirror) { return failed_mirrors_.insert(mirror).second; }
  [[nodiscard]] bool has_failed(const std::string& mirror) const {
    return failed_mirrors_.contains(mirror);
  }

  /// The bytes of this attempt are wrong, and another attempt may get the right ones.
  void request_restart() noexcept { restart_requested_ = true; }
  /// True if a restart was requested and a mirror failed in this attempt. If no mirror failed, true
  /// for the first request only.
  [[nodiscard]] bool take_restart() noexcept;

 private:
  std::set<std::string> failed_mirrors_;
  std::size_t failed_before_ = 0;  // mirrors, when the attempt began
  bool restart_requested_ = false;
  bool has_restarted_ = false;  // without a failed mirror
};

/// One body that may take several responses, of one server or of several.
///
/// Each request asks for the missing part only. Each byte goes to the sink once and in order: when
/// a server sends the body from its start again, the known bytes are compared and dropped.
class ResumableBody {
 public:
  struct Expected {
    /// Every response must have it.
    std::optional<std::uint64_t> size = {};
    /// Without one, If-Range makes sure that a resumed body is still the same.
    std::optional<Digest> digest = {};
  };

  /// `session` must outlive it.
  ResumableBody(const Expected& expected, BodySink sink, PullSession& session)
      : expected_(expected), sink_(std::move(sink)), session_(session), total_(expected.size) {}

  /// The next bytes, kept by an earlier pull. They are verified and passed on like all others.
  void replay(std::span<const std::byte> bytes);

  /// Makes `request` ask for the missing part.
  void prepare(HttpRequest& request);
  /// The next request goes to another server: forgets ranges and lengths of the last one.
  void forget_server();

  /// A HeadCheck.
  /// @throws TransientError for a range that was not asked for, after which the next request asks
  /// for the whole; with an expected size, Error(network) for statuses but 200 and 206, and
  /// Error(integrity) for a Content-Length other than that of the missing part.
  void check_head(const HttpResponse& response);
  /// A BodySink.
  /// @throws Error(integrity) for bytes beyond the expected size, which are not passed on; and,
  /// with a restart requested, when the body has changed between two responses.
  void write(std::span<const std::byte> bytes);
  /// Call at the end of each response, also of one that refuses the range.
  /// @throws TransientError when bytes are missing; Error(integrity) when the server says that the
  /// body ends before the expected size.
  void check_end(const HttpResponse& response);

  /// Holds the body to the expected size and digest. Requests a restart when it is another body and
  /// came in parts. Call at the end.
  /// @throws Error(integrity).
  void verify();

  /// Bytes passed on so far.
  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  /// The size of the body, as expected or as the server says.
  [[nodiscard]] std::optional<std::uint64_t> total() const noexcept { return total_; }
  /// Whether more than one response, or an earlier pull, had a part in it.
  [[nodiscard]] bool came_in_parts() const noexcept { return came_in_parts_; }
  /// The digest of all bytes that were passed on. Call at the end, once.
  [[nodiscard]] Digest digest() { return hash_.finish(); }
  /// Whether the sink threw, whose errors are not about the body.
  [[nodiscard]] bool sink_failed() const noexcept { return sink_failed_; }

 private:
  void check_range(const HttpResponse& response);
  void check_length(const HttpResponse& response, std::uint64_t missing) const;
  void compare_front(std::span<const std::byte>& bytes);
  void pass_on(std::span<const std::byte> bytes);
  [[nodiscard]] Error mismatch(const std::string& what) const;

  Expected expected_;
  BodySink sink_;
  PullSession& session_;
  Sha256 hash_;
  std::uint64_t received_ = 0;
  bool came_in_parts_ = false;
  bool sink_failed_ = false;

  // From the server's responses.
  std::optional<std::uint64_t> total_;
  std::string validator_;  // for If-Range
  bool use_ranges_ = true;
  bool is_web_page_ = false;
  std::string encoding_hint_;

  // A response that begins at the front: the number of known bytes that are still to come, and the
  // hash of those that came.
  std::uint64_t to_compare_ = 0;
  Sha256 compared_;
};

}  // namespace pyro
