// An HttpClient for tests: answers from a table, and remembers what it was asked.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "net/http.h"

namespace pyro {

/// Answers each URL with the answers scripted for it, in their order; the last one stays. A URL
/// without a script is answered 404. "HEAD " before a URL is for those requests alone.
class FakeHttpClient final : public HttpClient {
 public:
  /// What a request meets: a response, or a failure of the transport.
  struct Answer {
    int status = 200;
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::string body = {};
    std::optional<Error> error = {};
    bool not_tls = false;
    bool broken = false;   ///< As a connection that breaks off.
    bool refused = false;  ///< Nobody listens, for the moment.
    bool from_public_peer = false;
  };

  FakeHttpClient& on(const std::string& url, Answer answer) {
    script_[url].push_back(std::move(answer));
    return *this;
  }

  HttpResponse get(const HttpRequest& request, const BodySink& sink) override {
    requests.push_back(request);
    const std::string method = request.head_only ? "HEAD " : "";
    const bool is_apart = request.head_only && script_.contains(method + request.url);
    const Answer answer = next(is_apart ? method + request.url : request.url);
    if (answer.not_tls) throw NotTlsError(Error(ErrorCode::network, "the peer does not speak TLS"));
    if (answer.broken) {
      throw TransientError(Error(ErrorCode::network, "the connection broke"));
    }
    if (answer.refused) throw TransientError(Error(ErrorCode::network, "cannot connect"));
    if (answer.error) throw Error(*answer.error);
    HttpResponse response{answer.status, {}, {}};
    response.from_public_peer = answer.from_public_peer;
    for (const auto& [name, value] : answer.headers) response.headers.add(name, value);
    response.url = request.url;
    if (response.ok()) {
      if (request.on_head) request.on_head(response);
      if (!request.head_only) deliver(answer.body, sink);
    } else if (!request.head_only) {
      response.body = answer.body;
    }
    return response;
  }

  /// How often `url` was asked for.
  [[nodiscard]] std::size_t count(const std::string& url) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(requests, [&](const HttpRequest& r) { return r.url == url; }));
  }

  std::vector<HttpRequest> requests;

 private:
  Answer next(const std::string& url) {
    const auto found = script_.find(url);
    if (found == script_.end()) return {.status = 404};
    Answer answer = found->second.front();
    if (found->second.size() > 1) found->second.pop_front();
    return answer;
  }

  /// In two pieces, as a network might.
  static void deliver(const std::string& body, const BodySink& sink) {
    const auto bytes = std::as_bytes(std::span(body));
    const std::size_t half = bytes.size() / 2;
    if (half > 0) sink(bytes.first(half));
    if (!bytes.empty()) sink(bytes.subspan(half));
  }

  std::map<std::string, std::deque<Answer>> script_;
};

}  // namespace pyro
