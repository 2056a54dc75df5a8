// Retry, resume and restart.
#include "net/retry.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <random>
#include <string>
#include <utility>

#include "base/errors.h"
#include "base/text.h"

namespace pyro {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kMaxDelay{30'000};

/// RFC 9110 section 5.6.7: the form in use, and the two obsolete ones that must be understood.
std::optional<std::time_t> parse_http_date(const std::string& text) {
  for (const char* form :
       {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm time{};
    const char* const end = ::strptime(text.c_str(), form, &time);
    if (end != nullptr && *end == '\0') return ::timegm(&time);
  }
  return std::nullopt;
}

/// Half of `delay` and a random part of the other half: clients that failed together return apart.
milliseconds with_jitter(milliseconds delay) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  std::uniform_int_distribution<milliseconds::rep> part(delay.count() / 2, delay.count());
  return milliseconds(part(random));
}

void sleep(milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, time, [] { return false; });
  if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
}

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

bool is_transient(int status) noexcept {
  constexpr std::array kStatuses = {408, 429, 499, 500, 502, 503, 504, 522};
  return std::ranges::find(kStatuses, status) != kStatuses.end();
}

void throw_refusal(const Error& error, const HttpResponse& response) {
  if (!is_transient(response.status)) throw Error(error);
  throw TransientError(error, retry_after(response));
}

std::optional<seconds> retry_after(const HttpResponse& response,
                                   std::chrono::system_clock::time_point now) {
  const std::string text(trim(response.headers.get("Retry-After").value_or("")));
  if (text.empty()) return std::nullopt;
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc::result_out_of_range && text.front() != '-') return seconds::max();
  if (error == std::errc() && rest == end) {
    return number >= 0 ? std::optional(seconds(number)) : std::nullopt;
  }
  const auto date = parse_http_date(text);
  if (!date) return std::nullopt;
  const auto pause = std::chrono::system_clock::from_time_t(*date) - now;
  return std::max(seconds(0), std::chrono::ceil<seconds>(pause));
}

milliseconds Retry::next_delay() const {
  const int doublings = std::min(tries_ - 1, 16);
  return with_jitter(std::min(kMaxDelay, options_.delay * (std::int64_t{1} << doublings)));
}

void Retry::pause(TransientError& error) {
  const auto asked = error.retry_after();
  if (asked && *asked > options_.max_retry_after) {
    const bool is_known = *asked < std::chrono::hours(24 * 365);
    error.add_context("it asks for a pause of " +
                      (is_known ? std::to_string(asked->count()) + " s" : "a very long time"));
    throw;
  }
  const int retries = std::min(options_.retries, error.max_retries());
  if (++tries_ > retries) {
    if (retries > 0) error.add_context("gave up after " + std::to_string(tries_) + " tries");
    throw;
  }
  const milliseconds delay = std::max<milliseconds>(next_delay(), asked.value_or(seconds(0)));
  if (options_.on_pause) options_.on_pause(error, delay);
  sleep(delay, options_.stop);
}

void PullSession::begin_attempt() noexcept {
  failed_before_ = failed_mirrors_.size();
  restart_requested_ = false;
}

bool PullSession::should_restart() noexcept {
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
