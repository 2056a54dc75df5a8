// Resume and restart.
#include "net/resumable_body.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace pyro {
namespace {

constexpr int kOk = 200;
constexpr int kPartialContent = 206;
constexpr int kRangeNotSatisfiable = 416;

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) return std::nullopt;
  return value;
}

struct ContentRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::optional<std::uint64_t> total;  // nothing: unknown to the server
};

/// "bytes FIRST-LAST/TOTAL" (RFC 9110 section 14.4)
std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  const std::size_t dash = text.find('-');
  const std::size_t slash = text.find('/');
  if (!text.starts_with(kUnit) || dash == text.npos || slash == text.npos || slash < dash) {
    return std::nullopt;
  }
  const auto first = parse_number(text.substr(kUnit.size(), dash - kUnit.size()));
  const auto last = parse_number(text.substr(dash + 1, slash - dash - 1));
  const std::string_view total = text.substr(slash + 1);
  const auto total_number = parse_number(total);
  if (!first || !last || *last < *first || (!total_number && total != "*")) return std::nullopt;
  return ContentRange{*first, *last, total_number};
}

/// Identifies this very representation: a strong ETag, else the date of its last change.
std::string validator_of(const HttpResponse& response) {
  std::string tag = response.headers.get("ETag").value_or("");
  if (tag.starts_with('"')) return tag;
  return response.headers.get("Last-Modified").value_or("");
}

std::optional<std::uint64_t> length_of(const HttpResponse& response) {
  const auto lengths = response.headers.get_all("Content-Length");
  if (lengths.size() != 1) return std::nullopt;
  return parse_number(trim(lengths.front()));
}

}  // namespace

void PullSession::begin_attempt() noexcept {
  failed_before_ = failed_mirrors_.size();
  restart_requested_ = false;
}

bool PullSession::take_restart() noexcept {
  if (!restart_requested_) return false;
  return failed_mirrors_.size() > failed_before_ || !std::exchange(has_restarted_, true);
}

void ResumableBody::replay(std::span<const std::byte> bytes) {
  came_in_parts_ = true;
  pass_on(bytes);
}

void ResumableBody::prepare(HttpRequest& request) {
  to_compare_ = 0;
  if (received_ == 0 || !use_ranges_) return;
  request.headers.add("Range", "bytes=" + std::to_string(received_) + "-");
  if (!validator_.empty()) request.headers.add("If-Range", validator_);
}

void ResumableBody::forget_server() {
  use_ranges_ = true;
  total_ = expected_.size;
  validator_.clear();
}

void ResumableBody::check_head(const HttpResponse& response) {
  is_web_page_ = response.media_type() == "text/html";
  encoding_hint_ = response.encoding_hint();
  const bool is_partial = response.status == kPartialContent;
  if (expected_.size && response.status != kOk && !(is_partial && received_ > 0)) {
    throw Error(ErrorCode::network, "the registry answered " + std::to_string(response.status) +
                                        ", which was not asked for");
  }
  if (is_partial) {
    check_range(response);
  } else if (received_ > 0) {
    came_in_parts_ = true;
    to_compare_ = received_;
    compared_ = Sha256();
  } else if (!expected_.size) {
    total_ = length_of(response);
    if (!expected_.digest) validator_ = validator_of(response);
  }
  if (expected_.size) {
    check_length(response, is_partial ? *expected_.size - received_ : *expected_.size);
  }
}

void ResumableBody::check_range(const HttpResponse& response) {
  const auto fields = response.headers.get_all("Content-Range");
  const auto range = fields.size() == 1 ? parse_content_range(trim(fields.front())) : std::nullopt;
  const bool fits = range && use_ranges_ && received_ > 0 && range->first == received_ &&
                    response.media_type() != "multipart/byteranges" &&
                    (!range->total || range->last + 1 == *range->total) &&
                    (!total_ || range->last + 1 == *total_);
  if (!fits) {
    use_ranges_ = false;
    throw TransientError(Error(ErrorCode::network, "the server sent another range than asked for"));
  }
  total_ = range->last + 1;
  came_in_parts_ = true;
}

void ResumableBody::check_length(const HttpResponse& response, std::uint64_t missing) const {
  for (const std::string& length : response.headers.get_all("Content-Length")) {
    if (length != std::to_string(missing)) {
      throw mismatch("it should have " + std::to_string(missing) + " bytes, but " + length +
                     " are offered");
    }
  }
}

void ResumableBody::write(std::span<const std::byte> bytes) {
  if (to_compare_ > 0) compare_front(bytes);
  if (!bytes.empty()) pass_on(bytes);
}

/// Removes known bytes from the front of `bytes`.
void ResumableBody::compare_front(std::span<const std::byte>& bytes) {
  const auto known = bytes.first(std::min<std::uint64_t>(bytes.size(), to_compare_));
  compared_.update(known);
  to_compare_ -= known.size();
  bytes = bytes.subspan(known.size());
  if (to_compare_ == 0 && compared_.finish() != hash_.copy().finish()) {
    session_.request_restart();
    throw Error(ErrorCode::integrity, "it changed while it was downloaded");
  }
}

void ResumableBody::pass_on(std::span<const std::byte> bytes) {
  hash_.update(bytes);
  received_ += bytes.size();
  if (expected_.size && received_ > *expected_.size) {
    throw mismatch("it is longer than the " + std::to_string(*expected_.size) +
                   " bytes it should have");
  }
  try {
    sink_(bytes);
  } catch (...) {
    sink_failed_ = true;
    throw;
  }
}

void ResumableBody::check_end(const HttpResponse& response) {
  if (response.status == kRangeNotSatisfiable && use_ranges_ && received_ > 0) {
    use_ranges_ = false;
    throw TransientError(Error(ErrorCode::network, "the server does not have the rest of it"));
  }
  const bool is_short = to_compare_ > 0 || (total_ && received_ < *total_);
  if (!response.ok() || !is_short) return;
  const std::string received = std::to_string(received_);
  if (!expected_.size) {
    throw TransientError(
        Error(ErrorCode::network, "the answer ended after " + received + " bytes"));
  }
  const std::string size = std::to_string(*expected_.size);
  // A chunked response has an end of its own: it was not cut short, there is no more.
  if (response.headers.get("Transfer-Encoding")) {
    throw mismatch("it has " + received + " bytes instead of " + size);
  }
  const std::string what = "the answer ended after " + received + " of " + size + " bytes";
  throw TransientError(is_web_page_ ? mismatch(what) : Error(ErrorCode::network, what));
}

void ResumableBody::verify() {
  const Digest actual = digest();
  if ((!expected_.size || received_ == *expected_.size) &&
      (!expected_.digest || actual == *expected_.digest)) {
    return;
  }
  if (came_in_parts_) session_.request_restart();
  throw mismatch("its digest is " + actual.to_string());
}

Error ResumableBody::mismatch(const std::string& what) const {
  if (!is_web_page_) return Error(ErrorCode::integrity, what, encoding_hint_);
  Error error(ErrorCode::integrity, "what came is a web page (text/html)",
              "a captive portal or a proxy's login page may have answered in the registry's place");
  error.add_context(what);
  return error;
}

}  // namespace pyro
