// Faults of the fake registry, as data: which requests, and what goes wrong with their answers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "support/http_message.h"

namespace pyro::testing {

enum class RequestKind {
  any,
  ping,      ///< /v2/
  manifest,  ///< /v2/NAME/manifests/REFERENCE
  blob,      ///< /v2/NAME/blobs/DIGEST, of a layer
  config,    ///< The same, of what a manifest calls its config.
  token,
  redirected,  ///< What a redirect fault points to, on any listener.
  other,
};

/// The listeners of the fake registry, each on a port of its own.
enum class Listener { registry, cdn, token, plain };

/// Which requests a rule is about: those that agree with every field that is set.
struct Match {
  RequestKind kind = RequestKind::any;
  std::string repository = {};
  std::string reference = {};  ///< A tag or a digest.
  std::optional<Listener> listener = {};
  std::string method = {};
  /// Only those with a Range header, or only those without.
  std::optional<bool> ranged = {};
  /// By default a rule sees only requests that the registry's authentication let pass; `true` is
  /// for those that it refuses, to spoil the 401.
  bool refused = false;
  /// Counted from 1 among the requests that agree with the fields above.
  int first = 1;
  int last = std::numeric_limits<int>::max();
};

struct RedirectFault {
  enum class To {
    cdn,       ///< Another origin, which answers 400 when it sees Authorization, as S3 does.
    plain,     ///< The same host by plain http, where the same bytes wait.
    relative,  ///< "/redirected/...": the same origin.
    itself,    ///< For ever.
    location,  ///< As given below.
  };
  To to = To::cdn;
  std::string location = {};
  int status = 307;
};

/// What goes wrong. Unset fields leave the right answer as it is; several rules for one request
/// are applied in the order in which they were added.
struct Fault {
  // The content.
  std::optional<int> status = {};
  std::optional<std::string> body = {};  ///< Instead of the right one; its length is declared.
  std::optional<std::size_t> flip_byte_at = {};
  std::size_t drop_last = 0;     ///< Fewer bytes, of which the right number is declared.
  std::string extra_bytes = {};  ///< More bytes, declared.
  // The headers.
  Headers set_headers = {};  ///< Content-Length among them replaces the real one.
  Headers add_headers = {};  ///< Beside those of the same name.
  std::vector<std::string> drop_headers = {};
  std::optional<RedirectFault> redirect = {};
  // Ranges.
  bool ignore_range = false;     ///< 200 and everything.
  std::int64_t shift_range = 0;  ///< 206 of bytes that begin elsewhere, as its header says.
  // The transport: see HttpResponse.
  bool no_length = false;
  bool chunked = false;
  std::optional<std::size_t> cut_after = {};
  std::optional<Ending> ending = {};
  std::size_t repeat_body = 1;
  std::string preamble = {};
  std::optional<std::string> raw_head = {};
  std::chrono::milliseconds delay{0};
  std::size_t piece_size = 0;
  std::chrono::milliseconds piece_delay{0};
  std::optional<std::size_t> hold_after = {};
};

struct Rule {
  Match when;
  Fault then;
};

/// The usual faults by name.
namespace faults {

Fault status(int status, Headers headers = {}, std::string body = {});
/// 401 with these WWW-Authenticate headers, in this order.
Fault challenge(const std::vector<std::string>& challenges);
Fault cut_after(std::size_t bytes, Ending ending = Ending::close);
Fault flip_byte_at(std::size_t offset);
Fault extra_bytes(std::string bytes);
Fault header(std::string name, std::string value);
Fault without_header(std::string name);
/// 200 and a page, as captive portals and proxies answer.
Fault html();
Fault redirect(RedirectFault::To to = RedirectFault::To::cdn, int status = 307);
Fault redirect_to(std::string location, int status = 307);
/// `piece_size` bytes, a pause, and so on.
Fault slow(std::size_t piece_size, std::chrono::milliseconds pause);
/// `bytes`, and then as good as nothing until clear_rules(): a transfer that is not over before the
/// test is, on a host of any speed, and that is not given up either.
Fault held_after(std::size_t bytes);

}  // namespace faults
}  // namespace pyro::testing
