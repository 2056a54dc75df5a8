// The names of images: their grammar, and how they are parsed.
#include "base/reference.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/text.h"
#include "pyro/error.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxTag = 128;
constexpr std::size_t kMaxHost = 253;  // RFC 1035
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxReference = 255;  // registry and repository together

bool is_label_character(char c) {
  return is_alnum(c) || c == '-';
}
bool is_tag_character(char c) {
  return is_alnum(c) || is_one_of(c, "_.-");
}
bool is_lower_or_digit(char c) {
  return is_lower(c) || is_digit(c);
}

/// Whether `is_part` holds for every piece of `text` between separators.
bool every_part(std::string_view text, char separator, bool (*is_part)(std::string_view)) {
  for (;;) {
    const std::size_t end = text.find(separator);
    if (!is_part(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

bool is_label(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLabel && text.front() != '-' && text.back() != '-' &&
         all_are(text, is_label_character);
}

bool is_ipv6(std::string_view text) {
  std::array<char, INET6_ADDRSTRLEN> terminated{};
  if (text.size() >= terminated.size() || text.find('\0') != text.npos) return false;
  std::ranges::copy(text, terminated.begin());
  in6_addr address;
  return ::inet_pton(AF_INET6, terminated.data(), &address) == 1;
}

bool is_separator(std::string_view text) {
  return text == "." || text == "_" || text == "__" ||
         all_are(text, [](char c) { return c == '-'; });
}

/// Runs of letters and digits with exactly one separator between two of them.
bool is_repository_component(std::string_view text) {
  if (text.empty() || !is_lower_or_digit(text.front()) || !is_lower_or_digit(text.back())) {
    return false;
  }
  while (!text.empty()) {
    const auto separator = std::ranges::find_if_not(text, is_lower_or_digit);
    const auto next = std::find_if(separator, text.end(), is_lower_or_digit);
    if (separator != next && !is_separator({separator, next})) return false;
    text = {next, text.end()};
  }
  return true;
}

[[noreturn]] void refuse_reference(std::string message, std::string hint = {}) {
  throw Error(ErrorCode::usage, std::move(message), std::move(hint));
}

/// Removes the digest from the end of `text`. The text before the '@' may be a password and is not
/// shown.
std::optional<Digest> consume_digest(std::string_view& text) {
  const std::size_t at = text.find('@');
  if (at == text.npos) return std::nullopt;
  const auto digest = Digest::parse(text.substr(at + 1));
  if (!digest) {
    refuse_reference("not a reference: behind its '@' is no digest",
                     "a digest is 'sha256:' and 64 hexadecimal digits in lower case");
  }
  text = text.substr(0, at);
  return digest;
}

/// Removes the tag from the end of `text`.
std::optional<std::string> consume_tag(std::string_view& text) {
  const std::size_t colon = text.rfind(':');
  const std::size_t slash = text.rfind('/');
  if (colon == text.npos || (slash != text.npos && colon < slash)) return std::nullopt;
  std::string tag(text.substr(colon + 1));
  if (!is_oci_tag(tag)) {
    refuse_reference(
        in_quotes(tag) + " is not a tag",
        "a tag has up to 128 letters, digits, '_', '.' and '-', the first no '.' or '-'");
  }
  text = text.substr(0, colon);
  return tag;
}

/// Whether the first part of a name is a host, and not the first part of a repository. Unlike in
/// other tools, capitals alone do not make it a host: they are more likely a mistake.
bool names_host(std::string_view part) {
  return part == "localhost" || part.find_first_of(".:[") != part.npos;
}

[[noreturn]] void refuse_short(std::string_view text, std::string_view rest) {
  const bool is_single = rest.find('/') == rest.npos;
  refuse_reference(in_quotes(text) + " does not say which registry it is in",
                   "name it in full, like docker.io/" + std::string(is_single ? "library/" : "") +
                       std::string(text) + "; a file or directory begins with './' or '/'");
}

void require_two_parts(const std::string& repository) {
  if (repository.find('/') != repository.npos) return;
  refuse_reference("Docker Hub has no repository " + in_quotes(repository),
                   "its own are called library/" + repository);
}

}  // namespace

HostAndPort split_host_and_port(std::string_view text) noexcept {
  const std::size_t bracket = text.rfind(']');
  const std::size_t colon = text.find(':', bracket == text.npos ? 0 : bracket);
  if (colon == text.npos) return {.host = text, .port = {}};
  return {.host = text.substr(0, colon), .port = text.substr(colon + 1), .has_port = true};
}

bool is_host(std::string_view text) noexcept {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    return is_ipv6(text.substr(1, text.size() - 2));
  }
  return text.size() <= kMaxHost && every_part(text, '.', is_label);
}

bool is_loopback(std::string_view host) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const std::string text(host);
  in_addr v4{};
  if (::inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, text.c_str(), &v6) == 1) return IN6_IS_ADDR_LOOPBACK(&v6);
  const std::string name = to_lower(host);
  return name == "localhost" || name.ends_with(".localhost");
}

bool is_docker_hub(std::string_view registry) {
  return std::ranges::find(kDockerHubNames, to_lower(registry)) != std::end(kDockerHubNames);
}

std::string_view registry_host(std::string_view registry) {
  return is_docker_hub(registry) ? kDockerHubNames[0] : registry;
}

bool is_port(std::string_view text) noexcept {
  if (text.empty() || text.size() > 5 || !all_are(text, is_digit)) return false;
  unsigned value = 0;
  for (const char c : text) value = 10 * value + static_cast<unsigned>(c - '0');
  return value >= 1 && value <= 65535;
}

bool is_oci_registry(std::string_view text) noexcept {
  const HostAndPort parts = split_host_and_port(text);
  return is_host(parts.host) && (!parts.has_port || is_port(parts.port));
}

bool is_oci_repository(std::string_view text) noexcept {
  return text.size() <= kMaxReference && every_part(text, '/', is_repository_component);
}

bool is_oci_tag(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMaxTag && !is_one_of(text.front(), ".-") &&
         all_are(text, is_tag_character);
}

bool is_oci_reference(std::string_view text) noexcept {
  return is_oci_tag(text) || Digest::parse(text).has_value();
}

std::optional<ImageReference> ImageReference::make(std::string_view registry,
                                                   std::string_view repository,
                                                   std::string_view reference) {
  registry = registry_host(registry);
  if (!is_oci_registry(registry) || !is_oci_repository(repository) ||
      registry.size() + 1 + repository.size() > kMaxReference) {
    return std::nullopt;
  }
  if (const auto digest = Digest::parse(reference)) {
    return ImageReference(registry, repository, *digest);
  }
  if (!is_oci_tag(reference)) return std::nullopt;
  return ImageReference(registry, repository, std::string(reference));
}

std::optional<ImageReference> ImageReference::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::size_t at = text.find('@');
  const std::size_t mark = at == text.npos ? text.rfind(':') : at;
  if (slash == text.npos || mark == text.npos || mark < slash) return std::nullopt;
  return make(text.substr(0, slash), text.substr(slash + 1, mark - slash - 1),
              text.substr(mark + 1));
}

std::optional<Digest> ImageReference::digest() const {
  const Digest* const digest = std::get_if<Digest>(&reference_);
  return digest == nullptr ? std::nullopt : std::optional(*digest);
}

std::string ImageReference::reference() const {
  const auto fixed = digest();
  return fixed ? fixed->to_string() : std::get<std::string>(reference_);
}

std::string ImageReference::to_string() const {
  return registry_ + "/" + repository_ + (digest() ? "@" : ":") + reference();
}

FullReference FullReference::parse(std::string_view text) {
  if (trim(text).empty())
    refuse_reference("a reference is empty", "it looks like registry.example/team/env:1");
  FullReference parsed;
  std::string_view rest = text;
  parsed.digest = consume_digest(rest);
  const std::size_t slash = rest.find('/');
  if (slash == rest.npos || !names_host(rest.substr(0, slash))) refuse_short(text, rest);
  const std::string_view registry = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  parsed.tag = consume_tag(rest);
  if (!is_oci_registry(registry)) {
    refuse_reference(in_quotes(registry) + " is not a registry",
                     "it looks like registry.example:5000");
  }
  if (!is_oci_repository(rest)) {
    refuse_reference(
        in_quotes(rest) + " is not a repository",
        "it has letters in lower case and digits, parted by '/', '.', '_', '__' or dashes");
  }
  parsed.registry = registry_host(registry);
  parsed.repository = rest;
  if (is_docker_hub(registry)) require_two_parts(parsed.repository);
  if (!ImageReference::make(parsed.registry, parsed.repository, parsed.tag.value_or("latest"))) {
    refuse_reference("a registry and a repository together have at most 255 characters");
  }
  return parsed;
}

std::optional<LayoutUrl> split_layout_url(std::string_view text) {
  constexpr std::array<std::string_view, 3> kSchemes = {"oci", "oci-archive", "docker-archive"};
  const std::string_view scheme = text.substr(0, text.find(':'));
  const std::string lower = to_lower(scheme);
  if (scheme.size() == text.size() || std::ranges::find(kSchemes, lower) == kSchemes.end()) {
    return std::nullopt;
  }
  const std::string_view rest = text.substr(scheme.size() + 1);
  const std::string_view path = rest.substr(0, rest.find(':'));
  const std::string_view tag =
      path.size() == rest.size() ? std::string_view() : rest.substr(path.size() + 1);
  return LayoutUrl{.scheme = scheme, .path = path, .tag = tag};
}

std::optional<std::string_view> fragment_of(std::string_view url) {
  const std::string scheme = to_lower(url.substr(0, url.find(':')));
  const std::size_t hash = url.find('#');
  const bool is_url = scheme == "https" || scheme == "http" || scheme == "file";
  if (!is_url || hash == url.npos) return std::nullopt;
  return url.substr(hash + 1);
}

std::string scheme_of(std::string_view url) {
  const std::string_view scheme = url.substr(0, url.find(':'));
  const auto is_scheme_character = [](char c) { return is_alnum(c) || is_one_of(c, "+-."); };
  if (scheme.size() == url.size() || scheme.empty() || is_digit(scheme.front()) ||
      !all_are(scheme, is_scheme_character)) {
    return {};
  }
  return to_lower(scheme);
}

Location parse_location(const std::string& url, const std::optional<Digest>& pin,
                        const std::optional<Digest>& sha256) {
  if (const auto layout = split_layout_url(url)) {
    return LayoutSource{.transport = to_lower(layout->scheme),
                        .path = layout->path,
                        .tag = std::string(layout->tag),
                        .pin = pin};
  }
  if (url == kStandardInputUrl) return StandardInputSource{.sha256 = sha256};
  const std::string scheme = scheme_of(url);
  if (scheme.empty()) return PathSource{.name = url, .path = url, .sha256 = sha256};
  if (scheme != "file") return WebSource{.url = url, .sha256 = sha256};
  std::string_view path = std::string_view(url).substr(scheme.size() + 1);
  if (path.starts_with("//")) path.remove_prefix(std::min(path.size(), path.find('/', 2)));
  return PathSource{.name = url, .path = percent_decode(path), .sha256 = sha256};
}

}  // namespace pyro
