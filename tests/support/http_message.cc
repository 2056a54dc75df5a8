// HTTP requests that a test server received, and responses that it sends.
#include "support/http_message.h"

#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace pyro::testing {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// The text up to `separator`, which is taken off together with it.
std::string_view take_until(std::string_view& text, std::string_view separator) {
  const std::size_t at = text.find(separator);
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + separator.size());
  return taken;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isupper(c) != 0 || c == '-';
  });
}

std::string_view reason(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 206:
      return "Partial Content";
    case 307:
      return "Temporary Redirect";
    case 401:
      return "Unauthorized";
    case 404:
      return "Not Found";
    default:
      return "Status";
  }
}

void collect_parameters(std::string_view form, std::string_view name,
                        std::vector<std::string>& values) {
  while (!form.empty()) {
    std::string_view value = take_until(form, "&");
    const std::string key = percent_decode(take_until(value, "="), true);
    if (key == name) values.push_back(percent_decode(value, true));
  }
}

}  // namespace

std::optional<std::string> find_header(const Headers& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (same_name(key, name)) return value;
  }
  return std::nullopt;
}

void set_header(Headers& headers, std::string_view name, std::string value) {
  drop_header(headers, name);
  headers.emplace_back(name, std::move(value));
}

void drop_header(Headers& headers, std::string_view name) {
  std::erase_if(headers, [&](const auto& header) { return same_name(header.first, name); });
}

std::vector<std::string> HttpRequest::parameters(std::string_view name) const {
  std::vector<std::string> values;
  collect_parameters(query, name, values);
  const std::string type = header("Content-Type").value_or("");
  if (type.starts_with("application/x-www-form-urlencoded")) collect_parameters(body, name, values);
  return values;
}

std::optional<std::string> HttpRequest::parameter(std::string_view name) const {
  const auto values = parameters(name);
  if (values.empty()) return std::nullopt;
  return values.front();
}

std::optional<HttpRequest> parse_request(std::string_view head) {
  HttpRequest request;
  std::string_view line = take_until(head, "\r\n");
  request.method = take_until(line, " ");
  request.target = take_until(line, " ");
  request.version = line;
  if (!is_token(request.method) || !request.version.starts_with("HTTP/1.")) return std::nullopt;
  std::string_view target = request.target;
  request.path = percent_decode(take_until(target, "?"));
  request.query = target;
  while (!head.empty()) {
    std::string_view value = take_until(head, "\r\n");
    if (value.empty()) break;
    const std::string_view name = take_until(value, ":");
    request.headers.emplace_back(name, trim(value));
  }
  return request;
}

std::string percent_decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%' && i + 2 < text.size() &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 1])) != 0 &&
                        std::isxdigit(static_cast<unsigned char>(text[i + 2])) != 0;
    if (escape) {
      decoded += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      decoded += plus_is_space && text[i] == '+' ? ' ' : text[i];
    }
  }
  return decoded;
}

std::string render_head(const HttpResponse& response, bool close) {
  if (response.raw_head) return *response.raw_head;
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
  for (const auto& [name, value] : response.headers) head += fmt::format("{}: {}\r\n", name, value);
  const bool has_length = find_header(response.headers, "Content-Length").has_value();
  if (response.chunked) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (response.declare_length && !has_length) {
    head += fmt::format("Content-Length: {}\r\n", response.body.size() * response.repeat_body);
  }
  if (close) head += "Connection: close\r\n";
  return head + "\r\n";
}

}  // namespace pyro::testing
