// Programs that keep credentials in a keyring.
#include "oci/credential_helper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "base/errors.h"
#include "base/files.h"
#include "base/strict_json.h"
#include "base/subprocess.h"
#include "base/text.h"
#include "pyro/error.h"
#include "sandbox/policy.h"

namespace pyro {
namespace {

using Clock = std::chrono::steady_clock;

/// A file instead of a pipe, so that a helper that does not read it blocks nothing and causes no
/// SIGPIPE.
Fd input_of(const std::string& text) {
  Fd file = make_memory_file("a question");
  pwrite_all(file.get(), std::as_bytes(std::span(text)), 0, "a question");
  return file;
}

/// No cores: the memory of a helper holds secrets. No other confinement: it is the user's program,
/// as trusted as the file that names it, needs agents, terminals and the files of a keyring, and
/// may start a setgid program (ssh-agent), which no_new_privs would break.
constexpr std::array kLimits = {ResourceLimit{RLIMIT_CORE, 0}};

ProcessStart start_of(const std::filesystem::path& program, const std::string& verb, int input,
                      int output) {
  return {.program = program,
          .arguments = {program.string(), verb},
          .variables = own_variables(),
          .descriptors = {input, output},
          .confine = [] { return lower_limits(kLimits); }};
}

/// Reads the output of a helper until it ends.
class HelperReader {
 public:
  HelperReader(const Subprocess& helper, int output, const HelperLimits& limits)
      : helper_(helper), output_(output), limits_(limits), end_(Clock::now() + limits.timeout) {}

  std::string read_to_end() {
    bool has_ended = false;
    bool is_open = true;
    while (!has_ended) {
      std::array<pollfd, 2> events{
          {{helper_.descriptor(), POLLIN, 0}, {is_open ? output_ : -1, POLLIN, 0}}};
      if (::poll(events.data(), events.size(), time_left()) < 0 && errno != EINTR) break;
      if (limits_.stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
      if (Clock::now() >= end_) throw Error(ErrorCode::failed, "it did not answer " + in_time());
      has_ended = events[0].revents != 0;
      if (is_open) is_open = read_available();
    }
    return std::move(text_);
  }

 private:
  /// False at the end of the output.
  bool read_available() {
    std::array<char, 4096> piece{};
    for (;;) {
      const ssize_t n = ::read(output_, piece.data(), piece.size());
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return n < 0;
      text_.append(piece.data(), static_cast<std::size_t>(n));
      if (text_.size() > limits_.output) {
        throw Error(ErrorCode::failed,
                    "it said more than " + std::to_string(limits_.output) + " bytes");
      }
    }
  }

  [[nodiscard]] int time_left() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now());
    return static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
  }

  [[nodiscard]] std::string in_time() const {
    const auto ms = limits_.timeout.count();
    return "within " +
           (ms % 1000 == 0 ? std::to_string(ms / 1000) + " s" : std::to_string(ms) + " ms");
  }

  const Subprocess& helper_;
  int output_;
  const HelperLimits& limits_;
  Clock::time_point end_;
  std::string text_;
};

struct HelperAnswer {
  ProcessEnd end;
  std::string output;  ///< All of its standard output.
};

/// Runs `program` with the argument `verb`, and `input` as its standard input.
HelperAnswer ask_helper(const std::filesystem::path& program, const std::string& verb,
                        const std::string& input, const HelperLimits& limits) {
  const Fd question = input_of(input);
  Pipe pipe;
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  Subprocess helper(start_of(program, verb, question.get(), pipe.write.get()), program.string());
  pipe.write.reset();
  // The reader wakes when the helper ends.
  const std::stop_callback on_stop(limits.stop, [&] { helper.kill(); });
  try {
    std::string output = HelperReader(helper, pipe.read.get(), limits).read_to_end();
    return {helper.wait(), std::move(output)};
  } catch (...) {
    helper.kill_group();
    throw;
  }
}

constexpr std::string_view kNotFound = "credentials not found in native keychain";
constexpr std::string_view kTokenUser = "<token>";  // its secret is an identity token
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxMessage = 200;

bool is_helper_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && is_alnum(name.front()) &&
         std::ranges::all_of(name, [](char c) { return is_alnum(c) || is_one_of(c, "._-"); });
}

bool is_program(const std::filesystem::path& file) {
  struct stat status {};
  return ::stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
         ::access(file.c_str(), X_OK) == 0;
}

std::filesystem::path find_helper(const std::string& name,
                                  const std::vector<std::filesystem::path>& directories) {
  if (!is_helper_name(name)) {
    throw Error(ErrorCode::failed, "it names a credential helper that cannot be one: '" +
                                       name.substr(0, kMaxName) + "'");
  }
  const std::string program = "docker-credential-" + name;
  for (const std::filesystem::path& directory : directories) {
    if (is_program(directory / program)) return directory / program;
  }
  throw Error(ErrorCode::failed,
              "it names the credential helper " + program + ", which is not in PATH",
              "install " + program + ", or take \"" + name + "\" out of that file");
}

std::string_view first_line(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  if (text.ends_with('\r')) text.remove_suffix(1);
  return trim(text);
}

/// The output of a failed helper is a message, unless it looks like an answer with a secret.
std::string failure_of(const HelperAnswer& answer) {
  std::string text = answer.end.signal != 0
                         ? "it was killed by signal " + std::to_string(answer.end.signal)
                         : "it failed with code " + std::to_string(answer.end.exit_code);
  const std::string_view said = first_line(answer.output).substr(0, kMaxMessage);
  if (!said.empty() && answer.output.find('{') == std::string::npos) {
    text += ": " + std::string(said);
  }
  return text;
}

std::string field(const nlohmann::json& answer, const char* name) {
  const auto found = answer.find(name);
  if (found == answer.end() || !found->is_string()) {
    throw Error(ErrorCode::failed, std::string("its answer has no ") + name);
  }
  return found->get<std::string>();
}

std::optional<Credentials> parse_answer(const std::string& text) {
  const nlohmann::json answer = [&] {
    try {
      return parse_strict_json(text, ErrorCode::failed);
    } catch (const Error&) {  // which may quote it
      throw Error(ErrorCode::failed, "its answer is not JSON");
    }
  }();
  if (!answer.is_object()) throw Error(ErrorCode::failed, "its answer is not a JSON object");
  Credentials found{field(answer, "Username"), field(answer, "Secret")};
  if (found.password.empty()) return std::nullopt;
  if (found.username != kTokenUser) return found;
  return Credentials{.username = {}, .password = {}, .identity_token = found.password};
}

std::string question_of(const std::string& server, const Credentials& credentials) {
  const nlohmann::json question{
      {"ServerURL", server}, {"Username", credentials.username}, {"Secret", credentials.password}};
  try {
    return question.dump();
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorCode::failed, "user name and password must be UTF-8 for it");
  }
}

}  // namespace

CredentialHelper::CredentialHelper(const std::string& name,
                                   const std::vector<std::filesystem::path>& directories,
                                   HelperLimits limits)
    : program_(find_helper(name, directories)), limits_(std::move(limits)) {}

std::optional<Credentials> CredentialHelper::get(const std::string& server) const {
  return with_context(program() + " cannot get the credentials for " + server,
                      [&]() -> std::optional<Credentials> {
                        const auto answer = ask("get", server);
                        return answer ? parse_answer(*answer) : std::nullopt;
                      });
}

void CredentialHelper::store(const std::string& server, const Credentials& credentials) const {
  with_context(program() + " cannot store the credentials for " + server, [&] {
    if (!ask("store", question_of(server, credentials))) {
      throw Error(ErrorCode::failed, std::string(kNotFound));
    }
  });
}

bool CredentialHelper::erase(const std::string& server) const {
  return with_context(program() + " cannot erase the credentials for " + server,
                      [&] { return ask("erase", server).has_value(); });
}

/// The answer; nothing if the helper has nothing.
std::optional<std::string> CredentialHelper::ask(const std::string& verb,
                                                 const std::string& input) const try {
  HelperAnswer answer = ask_helper(program_, verb, input, limits_);
  if (answer.end.signal == 0 && answer.end.exit_code == 0) return std::move(answer.output);
  if (first_line(answer.output) == kNotFound) return std::nullopt;
  throw Error(ErrorCode::failed, failure_of(answer));
} catch (const Error& error) {
  if (error.code() != ErrorCode::filesystem) throw;
  // A program that cannot be started is an error in the settings, not of the file system.
  throw Error(ErrorCode::failed, error.what(), error.hint());
}

}  // namespace pyro
