// The one exception type of pyro, and the kinds of failure a caller can act on.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

namespace pyro {

/// The kinds of failure that callers handle differently. Each has a code in JSON documents and an
/// exit code of the executable (docs/commands.md).
enum class ErrorCode {
  failed,       ///< A bad catalog, an incompatible environment, any other failure.
  usage,        ///< An invalid request.
  not_found,    ///< Unknown environment, or one that is not installed.
  network,      ///< No answer, or a refusal: DNS, TLS, HTTP status, credentials.
  integrity,    ///< Wrong digests, hostile or unusable archives.
  filesystem,   ///< A failure of the local file system.
  busy,         ///< Another process holds a lock.
  interrupted,  ///< The caller requested a stop.
};

/// The stable name of a code, as it stands in `{"error": {"code": ...}}`: "not_found", "network".
[[nodiscard]] std::string_view to_string(ErrorCode code) noexcept;

/// The exception of the library. Functions may also throw std::bad_alloc.
///
/// `message()` says which operation failed on which object; `causes()` are its causes, outermost
/// first; `hint()` is advice for the user, or empty. No text holds secrets. Texts may hold bytes
/// from a server: escape control characters before showing them.
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

  /// Makes `message` the message, and the previous message the first cause.
  Error& add_context(std::string message);

  /// Sets the hint if there is none. The hint of the innermost function is the most specific.
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
