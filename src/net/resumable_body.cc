// One body that may take several answers to arrive.
#include "net/resumable_body.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/ascii.h"
#include "base/recoverable.h"

namespace pyro {
namespace {

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

/// What names this very representation: a strong ETag, else the date of its last change.
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

void ResumableBody::replay(std::span<const std::byte> bytes) {
  is_stitched_ = true;
  pass_on(bytes);
}

void ResumableBody::prepare(HttpRequest& request) {
  to_compare_ = 0;
  if (received_ == 0 || !use_ranges_) return;
  request.headers.add("Range", "bytes=" + std::to_string(received_) + "-");
  if (!validator_.empty()) request.headers.add("If-Range", validator_);
}

void ResumableBody::forget_host() {
  use_ranges_ = true;
  total_.reset();
  validator_.clear();
}

void ResumableBody::check_head(const HttpResponse& response) {
  if (response.status == kPartialContent) return check_partial(response);
  if (received_ == 0) {
    total_ = length_of(response);
    if (content_ == Content::named) validator_ = validator_of(response);
  } else {
    begin_over();
  }
}

void ResumableBody::check_partial(const HttpResponse& response) {
  const auto fields = response.headers.get_all("Content-Range");
  const auto range = fields.size() == 1 ? parse_content_range(trim(fields.front())) : std::nullopt;
  const bool fits = range && use_ranges_ && received_ > 0 && range->first == received_ &&
                    response.media_type() != "multipart/byteranges" &&
                    (!range->total || range->last + 1 == *range->total) &&
                    (!total_ || range->last + 1 == *total_);
  if (fits) {
    total_ = range->last + 1;
    is_stitched_ = true;
    return;
  }
  use_ranges_ = false;
  throw TransientError(Error(ErrorCode::network, "the server sent another range than asked for"));
}

void ResumableBody::begin_over() {
  is_stitched_ = true;
  to_compare_ = received_;
  compared_ = Sha256();
}

void ResumableBody::take(std::span<const std::byte> bytes) {
  if (to_compare_ > 0) {
    const auto known = bytes.first(std::min<std::uint64_t>(bytes.size(), to_compare_));
    compared_.update(known);
    to_compare_ -= known.size();
    bytes = bytes.subspan(known.size());
    if (to_compare_ == 0 && compared_.finish() != hash_.copy().finish()) {
      throw NeedsRestart(Error(ErrorCode::integrity, "it changed while it was downloaded"));
    }
  }
  if (!bytes.empty()) pass_on(bytes);
}

void ResumableBody::check_end(const HttpResponse& response) {
  if (response.status == kRangeNotSatisfiable && use_ranges_ && received_ > 0) {
    use_ranges_ = false;
    throw TransientError(Error(ErrorCode::network, "the server does not have the rest of it"));
  }
  if (!response.ok()) return;
  const bool is_short = to_compare_ > 0 || (total_ && received_ < *total_);
  if (is_short) {
    throw TransientError(Error(ErrorCode::network,
                               "the answer ended after " + std::to_string(received_) + " bytes"));
  }
}

void ResumableBody::pass_on(std::span<const std::byte> bytes) {
  hash_.update(bytes);
  received_ += bytes.size();
  sink_(bytes);
}

}  // namespace pyro
