// An HTTP exchange as plain values.
#include "net/http.h"

#include <algorithm>

#include "base/ascii.h"

namespace pyro {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return to_lower(x) == to_lower(y); });
}

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
  constexpr std::size_t kMostShown = 100;
  return "it came with Content-Encoding " + coding.substr(0, kMostShown) +
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

}  // namespace pyro
