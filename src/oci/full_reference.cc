// An image's name as people write it, in full.
#include "oci/full_reference.h"

#include "base/ascii.h"
#include "base/oci_names.h"
#include "oci/reference.h"
#include "pyro/error.h"

namespace pyro {
namespace {

[[noreturn]] void refuse(std::string message, std::string hint = {}) {
  throw Error(ErrorCode::usage, std::move(message), std::move(hint));
}

std::string in_quotes(std::string_view text) {
  return "'" + std::string(text) + "'";
}

/// What stands before a '@' may be a password, so that nothing of it is shown.
std::optional<Digest> take_digest(std::string_view& text) {
  const std::size_t at = text.find('@');
  if (at == text.npos) return std::nullopt;
  const auto digest = Digest::parse(text.substr(at + 1));
  if (!digest) {
    refuse("not a reference: behind its '@' is no digest",
           "a digest is 'sha256:' and 64 hexadecimal digits in lower case");
  }
  text = text.substr(0, at);
  return digest;
}

std::optional<std::string> take_tag(std::string_view& text) {
  const std::size_t colon = text.rfind(':');
  const std::size_t slash = text.rfind('/');
  if (colon == text.npos || (slash != text.npos && colon < slash)) return std::nullopt;
  std::string tag(text.substr(colon + 1));
  if (!is_oci_tag(tag)) {
    refuse(in_quotes(tag) + " is not a tag",
           "a tag has up to 128 letters, digits, '_', '.' and '-', the first no '.' or '-'");
  }
  text = text.substr(0, colon);
  return tag;
}

/// Whether the first part of a name is a host, and not the first part of a repository. Capitals
/// alone do not make it one, as they do elsewhere: they are rather a mistake.
bool names_host(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:[") != part.npos;
}

[[noreturn]] void refuse_short(std::string_view text, std::string_view rest) {
  const bool is_single = rest.find('/') == rest.npos;
  refuse(in_quotes(text) + " does not say which registry it is in",
         "name it in full, like docker.io/" + std::string(is_single ? "library/" : "") +
             std::string(text) + "; a file or directory begins with './' or '/'");
}

void require_two_parts(const std::string& repository) {
  if (repository.find('/') != repository.npos) return;
  refuse("Docker Hub has no repository " + in_quotes(repository),
         "its own are called library/" + repository);
}

}  // namespace

FullReference FullReference::parse(std::string_view text) {
  if (trim(text).empty())
    refuse("a reference is empty", "it looks like registry.example/team/env:1");
  FullReference parsed;
  std::string_view rest = text;
  parsed.digest = take_digest(rest);
  const std::size_t slash = rest.find('/');
  if (slash == rest.npos || !names_host(rest.substr(0, slash))) refuse_short(text, rest);
  const std::string_view registry = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  parsed.tag = take_tag(rest);
  if (!is_oci_registry(registry)) {
    refuse(in_quotes(registry) + " is not a registry", "it looks like registry.example:5000");
  }
  if (!is_oci_repository(rest)) {
    refuse(in_quotes(rest) + " is not a repository",
           "it has letters in lower case and digits, parted by '/', '.', '_', '__' or dashes");
  }
  parsed.registry = registry_host(registry);
  parsed.repository = rest;
  if (is_docker_hub(registry)) require_two_parts(parsed.repository);
  if (!ImageReference::make(parsed.registry, parsed.repository, parsed.tag.value_or("latest"))) {
    refuse("a registry and a repository together have at most 255 characters");
  }
  return parsed;
}

}  // namespace pyro
