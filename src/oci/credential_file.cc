// One file of credentials.
#include "oci/credential_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/ascii.h"
#include "base/base64.h"
#include "base/file_trust.h"
#include "base/oci_names.h"
#include "base/regular_file.h"
#include "base/strict_json.h"

namespace pyro {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 20;

constexpr const char* kHubKey = "https://index.docker.io/v1/";

Error unusable_file(const std::filesystem::path& file, const std::string& why,
                    const std::string& hint = {}) {
  Error error(ErrorCode::failed, why, hint);
  error.add_context("cannot use the credentials in " + file.string());
  return error;
}

/// The names one registry goes by, its own first.
std::vector<std::string> names_of(std::string_view registry) {
  std::vector<std::string> names{to_lower(registry)};
  if (!is_docker_hub(registry)) return names;
  for (const std::string_view name : kDockerHubNames) {
    if (name != names.front()) names.emplace_back(name);
  }
  return names;
}

/// A key as it is compared: a host's letters have no case; a URL is one of a whole host, whatever
/// its path.
std::string normal_key(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!key.starts_with(scheme)) continue;
    key.remove_prefix(scheme.size());
    return to_lower(key.substr(0, key.find('/')));
  }
  return to_lower(key);
}

std::string string_field(const OrderedJson& entry, const char* name) {
  const auto field = entry.find(name);
  return field != entry.end() && field->is_string() ? field->get<std::string>() : std::string();
}

/// An entry without a secret is what a login through a helper leaves behind.
std::optional<Credentials> parse_entry(const OrderedJson& entry) {
  if (!entry.is_object()) throw Error(ErrorCode::failed, "is not an object");
  const std::string identity_token = string_field(entry, "identitytoken");
  if (!identity_token.empty()) {
    return Credentials{.username = {}, .password = {}, .identity_token = identity_token};
  }
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

std::optional<RegularFile> read_file(const std::filesystem::path& file) try {
  return read_regular_file(file, kMaxFileBytes);
} catch (const Error& error) {
  throw unusable_file(file, error.message());
}

OrderedJson parse(const std::filesystem::path& file, const std::string& text) try {
  OrderedJson content = parse_ordered_json(text, ErrorCode::failed);
  if (!content.is_object()) throw Error(ErrorCode::failed, "it is not a JSON object");
  return content;
} catch (const Error& error) {
  throw unusable_file(file, error.message());
}

}  // namespace

std::optional<CredentialFile> CredentialFile::read(const std::filesystem::path& path) {
  const auto file = read_file(path);
  if (!file) return std::nullopt;
  const FileTrust trust =
      judge_file(file->status.st_mode, file->status.st_uid, ::geteuid(), Holds::secrets);
  if (!trust.believed) throw unusable_file(path, trust.remark, trust.remedy);
  std::string remark;
  if (!trust.remark.empty()) {
    remark = "the credentials in " + path.string() + ": " + trust.remark + "; " + trust.remedy;
  }
  OrderedJson content = parse(path, file->content);
  // Docker's first format has nothing but the entries.
  if (path.filename() == ".dockercfg") content = OrderedJson{{"auths", std::move(content)}};
  return CredentialFile(path, std::move(remark), std::move(content));
}

/// Null where it is missing or null.
const OrderedJson* CredentialFile::section(const char* name) const {
  const auto found = content_.find(name);
  if (found == content_.end() || found->is_null()) return nullptr;
  if (!found->is_object()) throw unusable("\"" + std::string(name) + "\" is not an object");
  return &*found;
}

/// Of the entries under one of the names, in the names' order and then in the file's, the first
/// with a secret.
std::optional<Credentials> CredentialFile::find_entry(const std::vector<std::string>& names) const {
  const OrderedJson* const auths = section("auths");
  if (auths == nullptr) return std::nullopt;
  std::map<std::string_view, std::size_t> ranks;
  for (std::size_t rank = 0; rank < names.size(); ++rank) ranks.emplace(names[rank], rank);
  // The file is gone through once: it may have as many entries as there is room for.
  std::multimap<std::size_t, OrderedJson::const_iterator> found;
  for (auto entry = auths->begin(); entry != auths->end(); ++entry) {
    const auto rank = ranks.find(normal_key(entry.key()));
    if (rank != ranks.end()) found.emplace(rank->second, entry);
  }
  for (const auto& [rank, entry] : found) {
    try {
      if (auto credentials = parse_entry(*entry)) return credentials;
    } catch (const Error& error) {
      throw unusable("the entry \"" + entry.key() + "\" " + error.message());
    }
  }
  return std::nullopt;
}

std::optional<Credentials> CredentialFile::find_for_part(std::string_view registry,
                                                         std::string_view repository) const {
  std::vector<std::string> names;
  while (!repository.empty()) {
    for (const std::string& name : names_of(registry)) {
      names.push_back(name + "/" + std::string(repository));
    }
    const std::size_t slash = repository.rfind('/');
    repository = repository.substr(0, slash == repository.npos ? 0 : slash);
  }
  return find_entry(names);
}

std::optional<Credentials> CredentialFile::find_for_host(std::string_view registry) const {
  return find_entry(names_of(registry));
}

std::optional<std::string> CredentialFile::own_helper_of(std::string_view registry) const {
  const OrderedJson* const helpers = section("credHelpers");
  if (helpers == nullptr) return std::nullopt;
  for (const auto& [key, name] : helpers->items()) {
    if (!means_registry(key, registry)) continue;
    if (!name.is_string()) throw unusable("\"credHelpers\" has no name for \"" + key + "\"");
    return name.get<std::string>();
  }
  return std::nullopt;
}

std::optional<std::string> CredentialFile::helper_for(std::string_view registry) const {
  if (auto own = own_helper_of(registry)) return own;
  const auto store = content_.find("credsStore");
  if (store == content_.end() || store->is_null()) return std::nullopt;
  if (!store->is_string()) throw unusable("\"credsStore\" is not a name");
  auto name = store->get<std::string>();
  return name.empty() ? std::nullopt : std::optional(std::move(name));
}

Error CredentialFile::unusable(const std::string& why) const {
  return unusable_file(path_, why);
}

bool means_registry(std::string_view key, std::string_view registry) {
  const auto names = names_of(registry);
  return std::ranges::find(names, normal_key(key)) != names.end();
}

std::string docker_key(std::string_view registry) {
  auto names = names_of(registry);
  return names.size() == 1 ? std::move(names.front()) : std::string(kHubKey);
}

std::vector<std::string> helper_servers(std::string_view registry) {
  std::vector<std::string> servers{docker_key(registry)};
  if (servers.front() == kHubKey) servers.emplace_back("docker.io");
  return servers;
}

}  // namespace pyro
