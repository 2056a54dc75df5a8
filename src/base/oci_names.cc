// The grammar of registries, repositories and tags.
#include "base/oci_names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/ascii.h"
#include "pyro/digest.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxRepository = 255;
constexpr std::size_t kMaxTag = 128;
constexpr std::size_t kMaxHost = 253;  // RFC 1035
constexpr std::size_t kMaxLabel = 63;

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
  return text.size() <= kMaxRepository && every_part(text, '/', is_repository_component);
}

bool is_oci_tag(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kMaxTag && !is_one_of(text.front(), ".-") &&
         all_are(text, is_tag_character);
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

bool is_oci_reference(std::string_view text) noexcept {
  return is_oci_tag(text) || Digest::parse(text).has_value();
}

}  // namespace pyro
