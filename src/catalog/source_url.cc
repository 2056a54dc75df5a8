// Where an archive may be fetched from.
#include <algorithm>

#include "base/reference.h"
#include "base/text.h"
#include "catalog/names.h"

namespace pyro {
namespace {

/// Everything between "//" and the path.
std::optional<std::string_view> authority_of(std::string_view url) {
  url.remove_prefix(url.find(':') + 1);
  if (!url.starts_with("//")) return std::nullopt;
  url.remove_prefix(2);
  return url.substr(0, url.find_first_of("/?#"));
}

std::optional<std::string> web_complaint(std::string_view url, bool needs_loopback) {
  if (url.find_first_of(" \\") != url.npos) return "contains a space or a backslash";
  if (!std::ranges::all_of(url, is_graphic)) {
    return "contains letters beyond ASCII: a URL has them percent-encoded, as in %C3%BC";
  }
  const auto authority = authority_of(url);
  if (!authority) return "a URL needs a host: https://host/path";
  if (std::ranges::count(*authority, '@') > 1) {
    return "has two '@' in front of its path: in a user name or a password it is written %40";
  }
  const HostAndPort server = split_host_and_port(authority->substr(authority->rfind('@') + 1));
  if (!is_host(server.host) || (server.has_port && !is_port(server.port))) {
    return "a URL needs a host: https://host/path";
  }
  if (needs_loopback && !is_loopback(server.host)) {
    return "http is fetched only with 'source_sha256' or from this machine; use https";
  }
  return std::nullopt;
}

std::optional<std::string> file_complaint(std::string_view url) {
  const auto authority = authority_of(url);
  const bool here = !authority || authority->empty() || to_lower(*authority) == "localhost";
  const std::string_view rest = url.substr(url.find(':') + 1);
  if (percent_decode(rest).find('\0') != std::string::npos) return "contains a zero byte";
  if (here && rest.starts_with('/') && !rest.ends_with('/')) return std::nullopt;
  return "a file URL needs an absolute path on this machine: file:///path";
}

std::optional<std::string> layout_complaint(const LayoutUrl& url) {
  if (url.path.starts_with("//")) {
    return "'oci://' would be a registry, which has fields of its own: 'oci_registry', "
           "'oci_repository' and 'oci_reference'";
  }
  if (url.path.empty())
    return "an image layout needs a path: oci:DIR, oci-archive:FILE or docker-archive:FILE";
  return std::nullopt;
}

bool is_forbidden(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

std::optional<std::string> source_url_complaint(std::string_view url, bool has_checksum) {
  if (url.empty()) return "is empty";
  if (std::ranges::any_of(url, is_forbidden)) return "contains control characters";
  const std::string scheme = scheme_of(url);
  if (scheme.empty()) return std::nullopt;
  if (scheme == "file") return file_complaint(url);
  if (const auto layout = split_layout_url(url)) return layout_complaint(*layout);
  if (scheme != "https" && scheme != "http") {
    // Nothing behind the colon is shown: of "user:password@host/file", that is a password.
    return "scheme '" + scheme +
           "' is not one of: https, http, file, oci, oci-archive, docker-archive (or a path; "
           "'./NAME' for a file with a colon in its name)";
  }
  return web_complaint(url, scheme == "http" && !has_checksum);
}

std::string resolve_source_url(std::string url, const std::filesystem::path& directory) {
  if (const auto layout = split_layout_url(url)) {
    const std::string path = (directory / layout->path).lexically_normal().string();
    const std::string tag = layout->tag.empty() ? "" : ":" + std::string(layout->tag);
    return to_lower(layout->scheme) + ":" + path + tag;
  }
  if (url == kStandardInputUrl || !scheme_of(url).empty()) return url;
  return (directory / url).lexically_normal().string();
}

}  // namespace pyro
