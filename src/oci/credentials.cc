// User names and passwords for registries: reads files, and looks credentials up.
#include "oci/credentials.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/files.h"
#include "base/reference.h"
#include "base/strict_json.h"
#include "base/text.h"
#include "oci/credential_helper.h"
#include "pyro/error.h"

namespace pyro {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t kMaxCredentialFile = std::size_t{1} << 20;

constexpr const char* kHubKey = "https://index.docker.io/v1/";

Error unusable_file(const std::filesystem::path& file, const std::string& why,
                    const std::string& hint = {}) {
  Error error(ErrorCode::failed, why, hint);
  error.add_context("cannot use the credentials in " + file.string());
  return error;
}

/// All names of a registry, the given one first.
std::vector<std::string> names_of(std::string_view registry) {
  std::vector<std::string> names{to_lower(registry)};
  if (!is_docker_hub(registry)) return names;
  for (const std::string_view name : kDockerHubNames) {
    if (name != names.front()) names.emplace_back(name);
  }
  return names;
}

/// A key in the form in which keys are compared: in lower case; of a URL, the host.
std::string normal_key(std::string_view key) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (!key.starts_with(scheme)) continue;
    key.remove_prefix(scheme.size());
    return to_lower(key.substr(0, key.find('/')));
  }
  return to_lower(key);
}

std::string text_or_empty(const OrderedJson& entry, const char* name) {
  const auto field = entry.find(name);
  return field != entry.end() && field->is_string() ? field->get<std::string>() : std::string();
}

/// Nothing for an entry without a secret, which a login through a helper leaves.
std::optional<Credentials> parse_entry(const OrderedJson& entry) {
  if (!entry.is_object()) throw Error(ErrorCode::failed, "is not an object");
  const std::string identity_token = text_or_empty(entry, "identitytoken");
  if (!identity_token.empty()) {
    return Credentials{.username = {}, .password = {}, .identity_token = identity_token};
  }
  const std::string auth = text_or_empty(entry, "auth");
  if (auth.empty()) {
    Credentials plain{text_or_empty(entry, "username"), text_or_empty(entry, "password")};
    return plain.username.empty() ? std::nullopt : std::optional(std::move(plain));
  }
  const auto decoded = base64_decode(auth);
  const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    throw Error(ErrorCode::failed, "has an \"auth\" that is not user:password in base64");
  }
  return Credentials{decoded->substr(0, colon), decoded->substr(colon + 1)};
}

std::optional<RegularFile> read_credential_file(const std::filesystem::path& file) try {
  return read_regular_file(file, kMaxCredentialFile);
} catch (const Error& error) {
  throw unusable_file(file, error.message());
}

OrderedJson parse_content(const std::filesystem::path& file, const std::string& text) try {
  OrderedJson content = parse_ordered_json(text, ErrorCode::failed);
  if (!content.is_object()) throw Error(ErrorCode::failed, "it is not a JSON object");
  return content;
} catch (const Error& error) {
  throw unusable_file(file, error.message());
}

struct Found {
  Credentials credentials;
  std::string origin;
};

class CredentialSearch {
 public:
  CredentialSearch(const CredentialSources& sources, std::string_view registry,
                   std::string_view repository)
      : sources_(sources), registry_(registry), repository_(repository) {}

  std::optional<Found> in(const CredentialFile& file) const {
    if (const auto own = file.own_helper_of(registry_)) return ask(*own, file);
    if (auto part = file.find_for_part(registry_, repository_)) return kept_in(file, *part);
    if (const auto helper = file.helper_for(registry_)) {
      if (auto found = ask(*helper, file)) return found;
    }
    if (auto host = file.find_for_host(registry_)) return kept_in(file, *host);
    return std::nullopt;
  }

 private:
  /// Warns about the permissions of a file only if it holds the credentials.
  Found kept_in(const CredentialFile& file, const Credentials& credentials) const {
    if (sources_.warn && !file.remark().empty()) sources_.warn(file.remark());
    return {credentials, file.path().string()};
  }

  std::optional<Found> ask(const std::string& name, const CredentialFile& file) const try {
    const CredentialHelper helper(name, sources_.helper_directories,
                                  {.timeout = sources_.helper_timeout, .stop = sources_.stop});
    for (const std::string& server : helper_servers(registry_)) {
      if (const auto credentials = helper.get(server)) {
        return Found{*credentials, helper.program() + ", as " + file.path().string() + " says"};
      }
    }
    return std::nullopt;
  } catch (Error& error) {
    if (error.code() == ErrorCode::interrupted) throw;
    error.add_context("cannot use the credentials in " + file.path().string());
    throw;
  }

  const CredentialSources& sources_;
  std::string_view registry_;
  std::string_view repository_;
};

}  // namespace

std::optional<CredentialFile> CredentialFile::read(const std::filesystem::path& path) {
  const auto file = read_credential_file(path);
  if (!file) return std::nullopt;
  const FileTrust trust =
      judge_file(file->status.st_mode, file->status.st_uid, ::geteuid(), Holds::secrets);
  if (!trust.believed) throw unusable_file(path, trust.remark, trust.remedy);
  std::string remark;
  if (!trust.remark.empty()) {
    remark = "the credentials in " + path.string() + ": " + trust.remark + "; " + trust.remedy;
  }
  OrderedJson content = parse_content(path, file->content);
  // Docker's first format has the entries only.
  if (path.filename() == ".dockercfg") content = OrderedJson{{"auths", std::move(content)}};
  return CredentialFile(path, std::move(remark),
                        std::make_shared<const OrderedJson>(std::move(content)));
}

/// Null if it is missing or null.
const OrderedJson* CredentialFile::section(const char* name) const {
  const auto found = content_->find(name);
  if (found == content_->end() || found->is_null()) return nullptr;
  if (!found->is_object()) throw unusable("\"" + std::string(name) + "\" is not an object");
  return &*found;
}

/// The first entry with a secret under one of `names`, in the order of the names, then of the file.
std::optional<Credentials> CredentialFile::find_entry(const std::vector<std::string>& names) const {
  const OrderedJson* const auths = section("auths");
  if (auths == nullptr) return std::nullopt;
  std::map<std::string_view, std::size_t> ranks;
  for (std::size_t rank = 0; rank < names.size(); ++rank) ranks.emplace(names[rank], rank);
  // One pass over the file, which may have very many entries.
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
  const auto store = content_->find("credsStore");
  if (store == content_->end() || store->is_null()) return std::nullopt;
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

CredentialSources credential_sources(const NetworkOptions& options, std::stop_token stop,
                                     Warn warn) {
  return {.files = options.credential_files,
          .helper_directories = options.helper_directories,
          .stop = std::move(stop),
          .warn = std::move(warn)};
}

CredentialLookup find_credentials(const CredentialSources& sources, std::string_view registry,
                                  std::string_view repository) {
  CredentialLookup lookup;
  const CredentialSearch search(sources, registry, repository);
  for (const std::filesystem::path& path : sources.files) {
    const auto file = CredentialFile::read(path);
    if (!file) continue;
    lookup.searched.push_back(path);
    if (auto found = search.in(*file)) {
      lookup.credentials = std::move(found->credentials);
      lookup.origin = std::move(found->origin);
      return lookup;
    }
  }
  return lookup;
}

std::string basic_authorization(const Credentials& credentials) {
  return "Basic " + base64_encode(credentials.username + ":" + credentials.password);
}

}  // namespace pyro
