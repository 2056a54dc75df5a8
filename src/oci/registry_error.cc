// The answers of a registry or token server that refuses.
#include "oci/registry_error.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "base/strict_json.h"
#include "base/text.h"
#include "net/http.h"
#include "net/retry.h"
#include "net/url.h"

namespace pyro {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxShown = std::size_t{8} << 10;

void append_part(std::string& text, std::string_view separator, const Json& object,
                 const char* name) {
  const auto field = object.find(name);
  if (field == object.end() || !field->is_string() ||
      field->get_ref<const std::string&>().empty()) {
    return;
  }
  if (!text.empty()) text += separator;
  text += field->get_ref<const std::string&>();
}

/// "CODE: message; CODE: message"
std::string render_errors(const Json& errors) {
  std::string all;
  for (const Json& error : errors) {
    if (!error.is_object()) continue;
    std::string one;
    append_part(one, ": ", error, "code");
    append_part(one, ": ", error, "message");
    if (!all.empty() && !one.empty()) all += "; ";
    all += one;
  }
  return all;
}

/// Empty when the body is not the JSON of the specification, as with many proxies.
std::string registry_errors(const std::string& body) {
  try {
    const Json document = parse_strict_json(body, ErrorCode::network);
    if (!document.is_object()) return {};
    const auto errors = document.find("errors");
    if (errors != document.end() && errors->is_array()) return render_errors(*errors);
    std::string details;  // Docker Hub's token server has its own form.
    append_part(details, "", document, "details");
    return details;
  } catch (const Error&) {
    return {};
  }
}

std::string hint_for(int status) {
  if (status == 401 || status == 403) return "check that you are logged in and may read it";
  if (status == 404) return "check the registry, the repository and the tag";
  if (status == 511) return "a captive portal wants a login first: open a browser";
  if (status == 429) return "it limits how often it answers: wait, or log in for a higher limit";
  if (status >= 500) return "the fault is on that side: try again later";
  return {};
}

bool is_token_char(char c) {
  return is_alnum(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token68_char(char c) {
  return is_alnum(c) || std::string_view("-._~+/").find(c) != std::string_view::npos;
}

/// Parses one field from left to right. Functions return false for an error.
class ChallengeParser {
 public:
  explicit ChallengeParser(std::string_view text) : rest_(text) {}

  void append_to(std::vector<Challenge>& challenges) {
    for (skip_separators(); !rest_.empty(); skip_separators()) {
      const std::string_view name = consume_while(is_token_char);
      if (name.empty()) break;
      if (current_ && peek_parameter()) {
        if (!parse_parameter(name)) return;
      } else {
        finish(challenges);
        if (!begin(name)) return;
      }
    }
    if (rest_.empty()) finish(challenges);
  }

 private:
  template <typename Predicate>
  std::string_view consume_while(const Predicate& predicate) {
    const auto end = std::ranges::find_if_not(rest_, predicate);
    const std::string_view consumed(rest_.begin(), end);
    rest_ = {end, rest_.end()};
    return consumed;
  }

  void skip_blanks() {
    consume_while([](char c) { return c == ' ' || c == '\t'; });
  }

  void skip_separators() {
    consume_while([](char c) { return c == ' ' || c == '\t' || c == ','; });
  }

  /// Skips blanks. Whether the element of the list ends here.
  bool at_element_end() {
    skip_blanks();
    return rest_.empty() || rest_.front() == ',';
  }

  bool peek_parameter() {
    const std::string_view start = rest_;
    skip_blanks();
    const bool is_parameter = rest_.starts_with('=');
    if (!is_parameter) rest_ = start;
    return is_parameter;
  }

  /// A scheme, and the token68 that may take the place of its parameters.
  bool begin(std::string_view scheme) {
    if (!rest_.empty() && rest_.front() != ' ' && rest_.front() != ',') return false;
    current_.emplace().scheme = to_lower(scheme);
    skip_blanks();
    const std::string_view start = rest_;
    const std::string_view token = consume_while(is_token68_char);
    const std::string_view padding = consume_while([](char c) { return c == '='; });
    if (!token.empty() && at_element_end()) {
      current_->token68 = std::string(token) + std::string(padding);
    } else {
      rest_ = start;
    }
    return true;
  }

  bool parse_parameter(std::string_view name) {
    rest_.remove_prefix(1);
    skip_blanks();
    const auto value = rest_.starts_with('"')
                           ? parse_quoted()
                           : std::optional(std::string(consume_while(is_token_char)));
    return value && at_element_end() && current_->parameters.emplace(to_lower(name), *value).second;
  }

  /// RFC 9110 section 5.6.4: a backslash quotes the next character.
  std::optional<std::string> parse_quoted() {
    std::string value;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      if (rest_[i] == '"') {
        rest_.remove_prefix(i + 1);
        return value;
      }
      if (rest_[i] == '\\' && ++i == rest_.size()) break;
      value += rest_[i];
    }
    return std::nullopt;
  }

  void finish(std::vector<Challenge>& challenges) {
    if (current_) challenges.push_back(std::move(*current_));
    current_.reset();
  }

  std::string_view rest_;
  std::optional<Challenge> current_;
};

}  // namespace

std::string describe_answer(const HttpResponse& response) {
  std::string text = std::to_string(response.status);
  if (response.media_type() == "text/html") return text + " with a web page";
  const std::string errors = registry_errors(response.body).substr(0, kMaxShown);
  return errors.empty() ? text : text + " " + errors;
}

void refuse_page_of_registry(const HttpResponse& response) {
  refuse_web_page(response, "as a registry");
}

void throw_registry_error(const Error& error, const HttpResponse& response) {
  if (response.status == 404) throw NotThere(error);
  throw_by_status(error, response);
}

Error registry_refusal(const std::string& speaker, const HttpResponse& response) {
  Error error(ErrorCode::network, "the request was for " + redact(response.url),
              hint_for(response.status));
  error.add_context(speaker + " answered " + describe_answer(response));
  return error;
}

std::vector<Challenge> parse_challenges(const std::vector<std::string>& fields) {
  std::vector<Challenge> challenges;
  for (const std::string& field : fields) ChallengeParser(field).append_to(challenges);
  return challenges;
}

}  // namespace pyro
