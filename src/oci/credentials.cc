// User names and passwords for registries.
#include "oci/credentials.h"

#include <fcntl.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <span>
#include <system_error>

#include "base/ascii.h"
#include "base/base64.h"
#include "base/files.h"
#include "base/strict_json.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

Error unusable(const std::filesystem::path& file, const std::string& why) {
  Error error(ErrorCode::failed, why);
  error.add_context("cannot use the credentials in " + file.string());
  return error;
}

/// Nothing where no such file exists. Links are followed: people keep such files elsewhere.
std::optional<std::string> read_file(const std::filesystem::path& file) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  const int error = errno;
  if (!fd && (error == ENOENT || error == ENOTDIR)) return std::nullopt;
  if (!fd) throw unusable(file, std::generic_category().message(error));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    throw unusable(file, "it is not a regular file");
  }
  std::string text(kMaxFileBytes + 1, '\0');
  text.resize(pread_full(fd.get(), std::as_writable_bytes(std::span(text)), 0, file.string()));
  if (text.size() > kMaxFileBytes) throw unusable(file, "it is larger than 1 MiB");
  return text;
}

Json parse_auths(const std::filesystem::path& file, const std::string& text) {
  Json config;
  try {
    config = parse_strict_json(text, ErrorCode::failed);
  } catch (const Error& error) {
    throw unusable(file, error.message());
  }
  if (!config.is_object()) throw unusable(file, "it is not a JSON object");
  const auto auths = config.find("auths");
  if (auths == config.end() || auths->is_null()) return Json::object();
  if (!auths->is_object()) throw unusable(file, "\"auths\" is not an object");
  return *auths;
}

/// The names one registry goes by. Docker Hub's is older than its registry's present host.
std::vector<std::string> names_of(std::string_view registry) {
  const std::string host = to_lower(registry);
  if (host != "registry-1.docker.io") return {host};
  return {host, "index.docker.io", "docker.io"};
}

/// "https://host/v1/" and "host" are keys for `host`; "host/team" is for a part of it, which nobody
/// asked for.
std::string host_of_key(std::string_view key) {
  constexpr std::string_view kScheme = "https://";
  if (key.starts_with(kScheme)) {
    key.remove_prefix(kScheme.size());
    key = key.substr(0, key.find('/'));
  }
  return to_lower(key);
}

const Json::object_t::value_type* find_entry(const Json& auths, std::string_view registry) {
  for (const std::string& name : names_of(registry)) {
    for (const auto& entry : auths.get_ref<const Json::object_t&>()) {
      if (host_of_key(entry.first) == name) return &entry;
    }
  }
  return nullptr;
}

std::string string_field(const Json& entry, const char* name) {
  const auto field = entry.find(name);
  return field != entry.end() && field->is_string() ? field->get<std::string>() : std::string();
}

/// An entry without a secret is what a login through a helper program leaves behind.
std::optional<Credentials> parse_entry(const Json& entry) {
  if (!entry.is_object()) throw Error(ErrorCode::failed, "is not an object");
  const std::string auth = string_field(entry, "auth");
  if (auth.empty()) {
    Credentials plain{string_field(entry, "username"), string_field(entry, "password")};
    return plain.username.empty() ? std::nullopt : std::optional(std::move(plain));
  }
  const auto decoded = base64_decode(auth);
  const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    throw Error(ErrorCode::failed, "has an \"auth\" that is not user:password in base64");
  }
  return Credentials{decoded->substr(0, colon), decoded->substr(colon + 1)};
}

}  // namespace

CredentialLookup find_credentials(const std::vector<std::filesystem::path>& files,
                                  std::string_view registry) {
  for (const std::filesystem::path& file : files) {
    const auto text = read_file(file);
    if (!text) continue;
    const Json auths = parse_auths(file, *text);
    const auto* const entry = find_entry(auths, registry);
    if (entry == nullptr) return {std::nullopt, file};
    try {
      return {parse_entry(entry->second), file};
    } catch (const Error& error) {
      throw unusable(file, "the entry \"" + entry->first + "\" " + error.message());
    }
  }
  return {};
}

std::string basic_authorization(const Credentials& credentials) {
  return "Basic " + base64_encode(credentials.username + ":" + credentials.password);
}

}  // namespace pyro
