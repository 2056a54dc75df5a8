// HTTP requests and responses as plain values.
#include "net/http.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "base/text.h"
#include "net/url.h"
#include "pyro/error.h"

namespace pyro {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return to_lower(x) == to_lower(y); });
}

constexpr std::size_t kMaxHeaderBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxHeaderFields = 1000;
constexpr std::size_t kMaxErrorBody = std::size_t{64} << 10;

}  // namespace

void HttpHeaders::add(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

std::optional<std::string> HttpHeaders::get(std::string_view name) const {
  for (const auto& [field, value] : fields_) {
    if (same_name(field, name)) return value;
  }
  return std::nullopt;
}

std::vector<std::string> HttpHeaders::get_all(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [field, value] : fields_) {
    if (same_name(field, name)) values.push_back(value);
  }
  return values;
}

void HttpHeaders::remove(std::string_view name) {
  std::erase_if(fields_, [&](const auto& field) { return same_name(field.first, name); });
}

std::string HttpResponse::media_type() const {
  const std::string value = headers.get("Content-Type").value_or("");
  return to_lower(trim(std::string_view(value).substr(0, value.find(';'))));
}

std::string HttpResponse::encoding_hint() const {
  const std::string coding(trim(headers.get("Content-Encoding").value_or("")));
  if (coding.empty() || to_lower(coding) == "identity") return {};
  constexpr std::size_t kMaxShown = 100;
  return "it came with Content-Encoding " + coding.substr(0, kMaxShown) +
         ", which was not asked for; the server or a proxy may have encoded it";
}

BodySink bounded_sink(std::string& body, std::size_t limit) {
  return [&body, limit](std::span<const std::byte> bytes) {
    if (bytes.size() > limit - body.size()) {
      throw Error(ErrorCode::network,
                  "the answer is longer than " + std::to_string(limit) + " bytes");
    }
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
}

HttpResponse get_small(HttpClient& client, const HttpRequest& request, std::size_t limit) {
  std::string body;
  HttpResponse response = client.get(request, bounded_sink(body, limit));
  if (response.ok()) response.body = std::move(body);
  return response;
}

void refuse_web_page(const HttpResponse& response, std::string_view expected) {
  if (response.media_type() != "text/html") return;
  const auto url = Url::parse(response.url);
  throw Error(ErrorCode::network,
              (url ? url->authority() : "the server") +
                  " answered with a web page (text/html), not " + std::string(expected) +
                  ": a captive portal or a proxy's login page?",
              "check the name of the host; to a captive portal log in with a browser");
}

void Exchange::on_header(std::string_view line) {
  count_header(line.size());
  if (head_done_) return;  // Trailers.
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) {
    if (response_.status >= 200) finish_head();
  } else if (line.starts_with("HTTP/")) {
    parse_status_line(line);
  } else {
    parse_field(line);
  }
}

// Never reset: endless 1xx responses run into the same limit.
void Exchange::count_header(std::size_t bytes) {
  header_bytes_ += bytes;
  if (header_bytes_ > kMaxHeaderBytes || ++header_fields_ > kMaxHeaderFields) {
    throw Error(ErrorCode::network, "the header of the answer is too large");
  }
}

void Exchange::parse_status_line(std::string_view line) {
  const std::size_t space = std::min(line.find(' '), line.size() - 1);
  response_ = {};
  std::from_chars(line.data() + space + 1, line.data() + line.size(), response_.status);
}

void Exchange::parse_field(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') {
    // Obsolete by RFC 9112 section 5.2: readers join such lines in different ways.
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

bool Exchange::on_body(std::span<const std::byte> bytes) {
  if (response_.ok()) {
    sink_(bytes);
    return true;
  }
  const std::size_t room = kMaxErrorBody - response_.body.size();
  response_.body.append(reinterpret_cast<const char*>(bytes.data()), std::min(room, bytes.size()));
  return bytes.size() <= room;
}

}  // namespace pyro
