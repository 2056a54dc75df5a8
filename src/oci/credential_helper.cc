// Programs that keep credentials in a keyring.
#include "oci/credential_helper.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/ascii.h"
#include "base/strict_json.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::string_view kNotFound = "credentials not found in native keychain";
constexpr std::string_view kTokenUser = "<token>";  // its secret is an identity token
constexpr std::size_t kMaxName = 64;
constexpr std::size_t kMaxComplaint = 200;

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

/// What it says on its failure is for people, unless it looks like what it says on success.
std::string complaint_of(const HelperAnswer& answer) {
  std::string text = answer.end.signal != 0
                         ? "it was killed by signal " + std::to_string(answer.end.signal)
                         : "it failed with code " + std::to_string(answer.end.exit_code);
  const std::string_view said = first_line(answer.output).substr(0, kMaxComplaint);
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

std::optional<Credentials> CredentialHelper::get(const std::string& server) const try {
  const auto answer = ask("get", server);
  return answer ? parse_answer(*answer) : std::nullopt;
} catch (Error& error) {
  if (error.code() != ErrorCode::interrupted) {
    error.add_context(program() + " cannot say what it has for " + server);
  }
  throw;
}

void CredentialHelper::store(const std::string& server, const Credentials& credentials) const try {
  if (!ask("store", question_of(server, credentials))) {
    throw Error(ErrorCode::failed, std::string(kNotFound));
  }
} catch (Error& error) {
  if (error.code() != ErrorCode::interrupted) {
    error.add_context(program() + " cannot keep what it is given for " + server);
  }
  throw;
}

bool CredentialHelper::erase(const std::string& server) const try {
  return ask("erase", server).has_value();
} catch (Error& error) {
  if (error.code() != ErrorCode::interrupted) {
    error.add_context(program() + " cannot forget what it has for " + server);
  }
  throw;
}

/// Its answer; nothing where it says that it has nothing.
std::optional<std::string> CredentialHelper::ask(const std::string& verb,
                                                 const std::string& input) const try {
  HelperAnswer answer = ask_helper(program_, verb, input, limits_);
  if (answer.end.signal == 0 && answer.end.exit_code == 0) return std::move(answer.output);
  if (first_line(answer.output) == kNotFound) return std::nullopt;
  throw Error(ErrorCode::failed, complaint_of(answer));
} catch (const Error& error) {
  if (error.code() != ErrorCode::filesystem) throw;
  // A program that cannot be started is a fault of the settings, not of the file system.
  throw Error(ErrorCode::failed, error.what(), error.hint());
}

}  // namespace pyro
