// Parses challenges.
#include "oci/challenge.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/text.h"

namespace pyro {
namespace {

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

std::vector<Challenge> parse_challenges(const std::vector<std::string>& fields) {
  std::vector<Challenge> challenges;
  for (const std::string& field : fields) ChallengeParser(field).append_to(challenges);
  return challenges;
}

}  // namespace pyro
