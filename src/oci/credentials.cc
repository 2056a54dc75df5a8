// User names and passwords for registries.
#include "oci/credentials.h"

#include <utility>

#include "base/base64.h"
#include "oci/credential_file.h"
#include "oci/credential_helper.h"
#include "pyro/error.h"

namespace pyro {
namespace {

struct Found {
  Credentials credentials;
  std::string origin;
};

class Search {
 public:
  Search(const CredentialSources& sources, std::string_view registry, std::string_view repository)
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
  /// Who may read a file is of no interest where it holds nothing.
  Found kept_in(const CredentialFile& file, const Credentials& credentials) const {
    if (sources_.warn && !file.remark().empty()) sources_.warn(file.remark());
    return {credentials, file.path().string()};
  }

  std::optional<Found> ask(const std::string& name, const CredentialFile& file) const try {
    const CredentialHelper helper(name, sources_.helper_directories,
                                  {.patience = sources_.helper_patience, .stop = sources_.stop});
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
  const Search search(sources, registry, repository);
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
