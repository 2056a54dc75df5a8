// Turns the right answer of the fake registry into the one its rules ask for.
#include "support/apply_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

namespace pyro::testing {
namespace {

struct ByteRange {
  std::int64_t first;
  std::int64_t last;
};

std::optional<std::int64_t> parse_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

// One "bytes=" range as RFC 9110 14.1.2 has it; std::nullopt: to be ignored.
std::optional<ByteRange> parse_range(std::string_view text, std::int64_t total) {
  if (!text.starts_with("bytes=") || text.find(',') != std::string_view::npos) return std::nullopt;
  text.remove_prefix(6);
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_number(text.substr(0, dash));
  const auto last = parse_number(text.substr(dash + 1));
  if (!first && !last) return std::nullopt;
  if (!first) return ByteRange{std::max<std::int64_t>(0, total - *last), total - 1};
  return ByteRange{*first, std::min(last.value_or(total - 1), total - 1)};
}

void apply_range(HttpResponse& response, std::string_view header, std::int64_t shift) {
  const auto total = static_cast<std::int64_t>(response.body.size());
  auto range = parse_range(header, total);
  if (!range) return;
  if (range->first >= total || range->last < range->first) {
    response.status = 416;
    response.body.clear();
    set_header(response.headers, "Content-Range", fmt::format("bytes */{}", total));
    return;
  }
  range->first = std::clamp<std::int64_t>(range->first + shift, 0, range->last);
  response.status = 206;
  response.body = response.body.substr(static_cast<std::size_t>(range->first),
                                       static_cast<std::size_t>(range->last - range->first + 1));
  set_header(response.headers, "Content-Range",
             fmt::format("bytes {}-{}/{}", range->first, range->last, total));
}

void apply_to_content(HttpResponse& response, const Fault& fault) {
  if (fault.body) response.body = *fault.body;
  if (fault.flip_byte_at && *fault.flip_byte_at < response.body.size()) {
    response.body[*fault.flip_byte_at] ^= 1;
  }
}

void apply_to_answer(HttpResponse& response, const Fault& fault) {
  if (fault.status) response.status = *fault.status;
  response.body.resize(response.body.size() - std::min(fault.drop_last, response.body.size()));
  response.body += fault.extra_bytes;
  for (const std::string& name : fault.drop_headers) drop_header(response.headers, name);
  for (const auto& [name, value] : fault.set_headers) set_header(response.headers, name, value);
  response.headers.insert(response.headers.end(), fault.add_headers.begin(),
                          fault.add_headers.end());
}

void apply_to_transport(HttpResponse& response, const Fault& fault) {
  if (fault.no_length) response.declare_length = false;
  if (fault.chunked) response.chunked = true;
  if (fault.cut_after) response.cut_after = fault.cut_after;
  if (fault.ending) response.ending = *fault.ending;
  if (fault.repeat_body != 1) response.repeat_body = fault.repeat_body;
  response.preamble += fault.preamble;
  if (fault.raw_head) response.raw_head = fault.raw_head;
  response.delay += fault.delay;
  if (fault.piece_size != 0) response.piece_size = fault.piece_size;
  response.piece_delay += fault.piece_delay;
  if (fault.hold_after) response.hold_after = fault.hold_after;
}

}  // namespace

HttpResponse apply_faults(HttpResponse response, const HttpRequest& request,
                          const std::vector<Fault>& faults, bool accepts_ranges) {
  bool whole_content = accepts_ranges && response.status == 200;
  std::int64_t shift = 0;
  for (const Fault& fault : faults) {
    apply_to_content(response, fault);
    if (fault.status || fault.body || fault.ignore_range) whole_content = false;
    shift += fault.shift_range;
  }
  const auto range = request.header("Range");
  if (whole_content && range) apply_range(response, *range, shift);
  for (const Fault& fault : faults) {
    apply_to_answer(response, fault);
    apply_to_transport(response, fault);
  }
  return response;
}

}  // namespace pyro::testing
