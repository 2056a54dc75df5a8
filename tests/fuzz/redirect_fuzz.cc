// URLs and redirects. The first line is a URL. Each other line is an answer: a letter for its kind,
// and a Location.
#include <algorithm>
#include <string>
#include <vector>

#include "base/text.h"
#include "catalog/names.h"
#include "net/redirects.h"
#include "net/url.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

void check_url(const std::string& text) {
  const auto url = Url::parse(text);
  const std::string scheme = to_lower(text.substr(0, text.find(':')));
  const bool is_web = text.find(':') != text.npos && (scheme == "https" || scheme == "http");
  require(!is_web || source_url_complaint(text, true) || url,
          "what a catalog takes as a URL, a pull takes");
  if (!url) return;
  const std::string rendered = url->to_string();
  require(std::ranges::all_of(rendered, is_graphic), "a URL has no blanks and no controls");
  const auto again = Url::parse(rendered);
  require(again && same_origin(*url, *again) && again->to_string() == rendered,
          "a URL written out leads to the same place");
  require(again->userinfo.empty(), "a password is not written out");
  require(url->authority().find_first_of("@/\\?#") == std::string::npos, "an authority is one");
}

/// Answers each request with the next line, and checks the request.
class Script final : public HttpClient {
 public:
  Script(std::vector<std::string> answers, std::string first)
      : answers_(std::move(answers)), first_(*Url::parse(first)) {}

  HttpResponse get(const HttpRequest& request, const BodySink&) override {
    const auto url = Url::parse(request.url);
    require(url.has_value() && url->userinfo.empty(), "only URLs are asked for");
    check(request, *url);
    const std::string answer = asked_ < answers_.size() ? answers_[asked_] : std::string();
    require(++asked_ <= std::size_t{kMaxRedirects} + 1, "redirects come to an end");
    was_https_ = was_https_ || url->scheme == "https";
    HttpResponse response{.status = status_of(answer), .headers = {}, .body = {}};
    response.from_public_peer = !answer.empty() && answer.front() == 'p';
    is_first_public_ = asked_ == 1 ? response.from_public_peer : is_first_public_;
    response.headers.add("Location", answer.substr(std::min<std::size_t>(1, answer.size())));
    return response;
  }

 private:
  static int status_of(const std::string& answer) {
    if (answer.empty()) return 200;
    return answer.front() == 'n' ? 404 : answer.front() == 's' ? 303 : 307;
  }

  void check(const HttpRequest& request, const Url& url) {
    const bool is_elsewhere = !same_origin(url, first_);
    has_left_ = has_left_ || is_elsewhere;
    require(!has_left_ || !request.headers.get("Authorization"),
            "a password that left its origin does not come back");
    require(!has_left_ || !request.insecure, "only the named host may go without certificates");
    require(!was_https_ || url.scheme == "https", "TLS is not given up");
    require(!is_elsewhere || !is_first_public_ || request.public_peers_only,
            "a public host does not lead into the network around us");
    require(asked_ == 0 || request.form.empty(), "a form is sent once");
  }

  std::vector<std::string> answers_;
  const Url first_;
  std::size_t asked_ = 0;
  bool was_https_ = false;
  bool has_left_ = false;
  bool is_first_public_ = false;
};

void check_chain(const std::string& first, const std::vector<std::string>& answers, bool is_form) {
  if (!Url::parse(first)) return;
  Script script(answers, first);
  HttpRequest request{.url = first, .form = is_form ? "a=b" : "", .insecure = true};
  request.headers.add("Authorization", "Bearer secret");
  static_cast<void>(accepts(ErrorCode::network, [&] {
    static_cast<void>(follow(script, request, [](std::span<const std::byte>) {}));
  }));
}

void check_location(const Url& base, const std::string& location) {
  const auto to = resolve(base, location);
  if (!to) return;
  require(to->userinfo.empty(), "no user is taken from a Location");
  require(Url::parse(to->to_string()).has_value(), "a Location leads to a URL");
  require(to->path.starts_with('/'), "a path begins at the top");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  auto lines = fuzz::lines_of(fuzz::as_text(data, size));
  for (const std::string& line : lines) fuzz::check_url(line);
  const std::string first = lines.front();
  lines.erase(lines.begin());
  if (const auto base = Url::parse(first)) {
    for (const std::string& line : lines) fuzz::check_location(*base, line);
  }
  fuzz::check_chain(first, lines, false);
  fuzz::check_chain(first, lines, true);
  return 0;
}
