// One HTTP exchange as the transport's callbacks see it.
#include "net/exchange.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "base/ascii.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxHeaderBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxHeaderFields = 1000;
constexpr std::size_t kMaxErrorBody = std::size_t{64} << 10;

}  // namespace

void Exchange::take_header(std::string_view line) {
  count_header(line.size());
  if (head_done_) return;  // Trailers.
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) {
    if (response_.status >= 200) finish_head();
  } else if (line.starts_with("HTTP/")) {
    take_status_line(line);
  } else {
    take_field(line);
  }
}

// Never reset: an endless row of 1xx answers runs into the same bound.
void Exchange::count_header(std::size_t bytes) {
  header_bytes_ += bytes;
  if (header_bytes_ > kMaxHeaderBytes || ++header_fields_ > kMaxHeaderFields) {
    throw Error(ErrorCode::network, "the header of the answer is too large");
  }
}

void Exchange::take_status_line(std::string_view line) {
  const std::size_t space = std::min(line.find(' '), line.size() - 1);
  response_ = {};
  std::from_chars(line.data() + space + 1, line.data() + line.size(), response_.status);
}

void Exchange::take_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') {
    // RFC 9112 section 5.2 has done away with it, and each reader joins such lines in its own way.
    throw Error(ErrorCode::network, "the header of the answer has a folded line");
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  response_.headers.add(std::string(trim(line.substr(0, colon))),
                        std::string(trim(line.substr(colon + 1))));
}

void Exchange::finish_head() {
  head_done_ = true;
  if (!response_.ok() || !request_.on_head) return;
  response_.url = request_.url;
  request_.on_head(response_);
}

bool Exchange::take_body(std::span<const std::byte> bytes) {
  if (response_.ok()) {
    sink_(bytes);
    return true;
  }
  const std::size_t room = kMaxErrorBody - response_.body.size();
  response_.body.append(reinterpret_cast<const char*>(bytes.data()), std::min(room, bytes.size()));
  return bytes.size() <= room;
}

}  // namespace pyro
