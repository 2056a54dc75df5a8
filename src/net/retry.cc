// Retry.
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

}  // namespace

bool is_transient(int status) noexcept {
  constexpr std::array kStatuses = {408, 429, 499, 500, 502, 503, 504, 522};
  return std::ranges::find(kStatuses, status) != kStatuses.end();
}

void throw_by_status(const Error& error, const HttpResponse& response) {
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

// Called while `error` is handled; `throw` passes it on.
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

}  // namespace pyro
