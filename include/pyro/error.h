// The one exception type of pyro, and the kinds of failure a caller can act on.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace pyro {

/// What went wrong, as far as a caller would react differently (spec section 9: each kind has a
/// JSON code and an exit code of the executable).
enum class ErrorCode {
  failed,       ///< A bad catalog, an incompatible environment, anything without a kind of its own.
  usage,        ///< The caller asked for something that cannot be asked for.
  not_found,    ///< Unknown environment, or one that is not installed.
  network,      ///< No answer, or an answer that says no: DNS, TLS, HTTP status, credentials.
  integrity,    ///< Bytes that are not what they should be: digests, hostile or unusable archives.
  filesystem,   ///< The local file system said no.
  busy,         ///< Somebody else holds what is needed.
  interrupted,  ///< The caller asked to stop.
};

/// The stable name of a code, as it stands in `{"error": {"code": ...}}`: "not_found", "network".
[[nodiscard]] std::string_view to_string(ErrorCode code) noexcept;

/// Thrown by every function of the library that fails.
///
/// `message()` says what failed and on what; `causes()` says why, outermost first; `hint()` says
/// what the user can do and is empty when there is nothing sensible to say. No text holds secrets;
/// text may hold bytes that came from a server, so escape control characters before showing it.
///
/// Copyable, and safe to hand from one thread to another.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string hint = {});

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  [[nodiscard]] const std::vector<std::string>& causes() const noexcept { return causes_; }
  [[nodiscard]] const std::string& hint() const noexcept { return hint_; }

  /// The message and its causes in one line, joined by ": ".
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }

  /// Puts `message` in front; what was the message becomes the first cause.
  Error& add_context(std::string message);

  /// Sets the hint unless there is one already: the place nearest to the cause knows best.
  Error& add_hint(std::string hint);

 private:
  void render();

  ErrorCode code_;
  std::string message_;
  std::vector<std::string> causes_;
  std::string hint_;
  std::string what_;
};

}  // namespace pyro
