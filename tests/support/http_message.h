// HTTP requests that a test server received, and responses that it sends.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pyro::testing {

/// In the order of the wire; a name may occur more than once.
using Headers = std::vector<std::pair<std::string, std::string>>;

/// The first header of that name, in any case.
std::optional<std::string> find_header(const Headers& headers, std::string_view name);
/// Replaces all headers of that name with one.
void set_header(Headers& headers, std::string_view name, std::string value);
void drop_header(Headers& headers, std::string_view name);

struct HttpRequest {
  std::string method = {};
  std::string target = {};  ///< As sent: path and query.
  std::string path = {};    ///< Percent-decoded.
  std::string query = {};   ///< As sent, without the question mark.
  std::string version = {};
  Headers headers = {};
  std::string body = {};

  std::optional<std::string> header(std::string_view name) const {
    return find_header(headers, name);
  }
  /// Percent-decoded values, of the query or of a posted form.
  std::vector<std::string> parameters(std::string_view name) const;
  std::optional<std::string> parameter(std::string_view name) const;
};

/// Parses the head of a request (through its empty line); std::nullopt when it is none.
std::optional<HttpRequest> parse_request(std::string_view head);

std::string percent_decode(std::string_view text, bool plus_is_space = false);

/// How a connection goes on after a response.
enum class Ending {
  keep_alive,       ///< Close if the response needs it, else wait for the next request.
  close,            ///< An orderly end, in TLS with close_notify.
  no_close_notify,  ///< FIN only, as careless TLS peers do.
  reset,            ///< RST.
};

/// By default a correct answer; everything beyond `body` is there to be wrong with.
struct HttpResponse {
  int status = 200;
  Headers headers = {};
  std::string body = {};

  std::string preamble = {};                  ///< Sent first: 1xx answers, or garbage.
  std::optional<std::string> raw_head = {};   ///< Instead of status line and headers.
  bool declare_length = true;                 ///< Adds Content-Length unless in `headers`.
  bool chunked = false;                       ///< Transfer-Encoding instead of Content-Length.
  std::size_t repeat_body = 1;                ///< For bodies too long to be held in memory.
  std::optional<std::size_t> cut_after = {};  ///< Ends the connection after so much of the body.
  Ending ending = Ending::keep_alive;
  std::chrono::milliseconds delay{0};  ///< Before the first byte.
  std::size_t piece_size = 0;          ///< Body bytes between two pauses; 0: no pauses.
  std::chrono::milliseconds piece_delay{0};
  /// After so much of the body only a byte now and then, until HttpServer::release().
  std::optional<std::size_t> hold_after = {};
};

/// Status line, headers and empty line; `close` adds "Connection: close".
std::string render_head(const HttpResponse& response, bool close);

}  // namespace pyro::testing
