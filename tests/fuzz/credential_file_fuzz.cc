// auth.json and config.json: credentials of registries.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "memory_file.h"
#include "oci/credentials.h"

namespace pyro::fuzz {
namespace {

constexpr const char* kRegistries[] = {"registry-1.docker.io", "r.example", "r.example:5000"};

bool same(const std::optional<Credentials>& one, const std::optional<Credentials>& other) {
  return one.has_value() == other.has_value() &&
         (!one || (one->username == other->username && one->password == other->password &&
                   one->identity_token == other->identity_token));
}

/// Nothing if there is no usable entry.
std::optional<Credentials> find(const CredentialFile& file, std::string_view registry) {
  std::optional<Credentials> found;
  static_cast<void>(accepts(ErrorCode::failed, [&] { found = file.find_for_host(registry); }));
  return found;
}

bool has_key_of(const CredentialFile& file, std::string_view registry) {
  const auto auths = file.content().find("auths");
  if (auths == file.content().end() || !auths->is_object()) return false;
  return std::ranges::any_of(
      auths->items(), [&](const auto& item) { return means_registry(item.key(), registry); });
}

void check(const CredentialFile& file, std::string_view registry) {
  const auto found = find(file, registry);
  require(!found || has_key_of(file, registry), "credentials are of the registry that is asked");
  require(
      !found || !found->identity_token.empty() || found->username.find(':') == std::string::npos,
      "a user's name ends at the first colon");
  static_cast<void>(accepts(ErrorCode::failed, [&] {
    require(!file.find_for_part(registry, "team/tool") || file.content().contains("auths"),
            "credentials come from auths");
  }));
  static_cast<void>(accepts(ErrorCode::failed, [&] {
    const auto helper = file.helper_for(registry);
    require(!file.own_helper_of(registry) || helper == file.own_helper_of(registry),
            "a registry's own helper counts more than the one for all");
  }));
}

/// Writing the file and reading it again gives the same credentials.
void check_round_trip(const CredentialFile& file) {
  std::string text;
  try {
    text = file.content().dump();
  } catch (const nlohmann::json::exception&) {
    fail("what was read is text");
  }
  const MemoryFile copy(text);
  const auto again = CredentialFile::read(copy.path());
  require(again.has_value(), "what was written is read");
  for (const char* const registry : kRegistries) {
    require(same(find(file, registry), find(*again, registry)), "... and holds the same");
  }
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  const fuzz::MemoryFile input(fuzz::as_text(data, size));
  std::optional<CredentialFile> file;
  if (!fuzz::accepts(ErrorCode::failed, [&] { file = CredentialFile::read(input.path()); })) {
    return 0;
  }
  fuzz::require(file.has_value(), "a file that is there is read");
  for (const char* const registry : fuzz::kRegistries) fuzz::check(*file, registry);
  fuzz::check_round_trip(*file);
  return 0;
}
