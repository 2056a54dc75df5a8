// What a token server answers. The lines are the realm, the service, the scope, and a character
// for the status; the rest is the body.
#include <algorithm>
#include <array>
#include <string>

#include "base/text.h"
#include "oci/auth.h"
#include "oracle.h"
#include "support/fake_http_client.h"

namespace pyro::fuzz {
namespace {

constexpr std::array kStatuses = {200, 200, 200, 201, 204, 400, 401, 403, 404, 429, 500};

std::string take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string line(text.substr(0, end));
  text.remove_prefix(std::min(text.size(), end + 1));
  return line;
}

void check_url(const TokenRequest& request) {
  const std::string text = token_url(request);
  const auto url = Url::parse(text);
  require(url.has_value() && same_origin(*url, request.realm), "a token is asked of its realm");
  require(url->path == request.realm.path, "... at its path");
  require(url->query.starts_with(request.realm.query), "... with its own query in front");
  require(std::ranges::count(url->query, '#') == 0, "no part of it is a fragment");
}

void check_form(const TokenRequest& request) {
  const std::string form = token_form(request);
  require(std::ranges::all_of(form, is_graphic), "a form has no blanks and no controls");
  require(
      form.starts_with("grant_type=refresh_token&") && form.ends_with("refresh_token=id%2Btoken"),
      "nothing is smuggled into a form");
}

void check_answer(const TokenRequest& request, int status, std::string_view body) {
  FakeHttpClient http;
  const std::string url = request.credentials ? request.realm.to_string() : token_url(request);
  http.on(url, {.status = status,
                .headers = {{"Content-Type", "application/json"}},
                .body = std::string(body)});
  std::string token;
  const bool is_accepted = accepts(ErrorCode::network, [&] { token = fetch_token(http, request); });
  require(!is_accepted || (status >= 200 && status < 300), "a refusal brings no token");
  require(!is_accepted || !token.empty(), "a token is not empty");
  require(std::ranges::all_of(token, is_graphic), "a token cannot break out of its header");
  require(http.requests.size() == 1, "it is asked once");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  std::string_view text = fuzz::as_text(data, size);
  const auto realm = Url::parse(fuzz::take_line(text));
  if (!realm || !realm->userinfo.empty()) return 0;
  TokenRequest request{.realm = *realm, .service = fuzz::take_line(text)};
  request.scope = fuzz::take_line(text);
  const std::string status = fuzz::take_line(text);
  const std::size_t choice = status.empty() ? 0 : static_cast<unsigned char>(status.front() - '0');
  fuzz::check_url(request);
  fuzz::check_answer(request, fuzz::kStatuses[choice % fuzz::kStatuses.size()], text);
  request.credentials = Credentials{.username = {}, .password = {}, .identity_token = "id+token"};
  fuzz::check_form(request);
  fuzz::check_answer(request, fuzz::kStatuses[choice % fuzz::kStatuses.size()], text);
  return 0;
}
