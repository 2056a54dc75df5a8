// The grammar of registries, repositories and tags, and of image layouts.
//
// Source: distribution-spec "Pulling manifests" for repository and tag; the registry part as
// github.com/distribution/reference reads it.
#pragma once

#include <optional>
#include <string_view>

namespace pyro {

/// `host`, `host:port`, `127.0.0.1:5000`, `[::1]:5000`; no scheme, no path.
[[nodiscard]] bool is_oci_registry(std::string_view text) noexcept;

/// "team/environment": lower-case components of letters and digits, joined by '.', '_', '__' or
/// dashes, at most 255 characters.
[[nodiscard]] bool is_oci_repository(std::string_view text) noexcept;

/// `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`
[[nodiscard]] bool is_oci_tag(std::string_view text) noexcept;

/// A tag, or a digest as Digest::parse() takes it.
[[nodiscard]] bool is_oci_reference(std::string_view text) noexcept;

/// "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]" and "docker-archive:FILE[:NAME:TAG]", as
/// containers-transports(5) has them: the path ends at its first colon.
struct LayoutUrl {
  std::string_view scheme;  ///< As it is written: "oci".
  std::string_view path;
  std::string_view tag;  ///< Empty where there is none.
};
/// Nothing for another scheme.
[[nodiscard]] std::optional<LayoutUrl> split_layout_url(std::string_view text);

/// What stands behind the '#' of a https, http or file URL; nothing for others, and for paths,
/// where that is a character like any other.
[[nodiscard]] std::optional<std::string_view> fragment_of(std::string_view url);

/// Whether `text` is a bare host as in a URL's authority: a DNS name, an IPv4 address, or an IPv6
/// address in brackets.
[[nodiscard]] bool is_host(std::string_view text) noexcept;

/// `text` cut before the colon of a port; the port is empty where there is none. Knows brackets.
struct HostAndPort {
  std::string_view host;
  std::string_view port;
  bool has_port = false;
};
[[nodiscard]] HostAndPort split_host_and_port(std::string_view text) noexcept;

/// This machine: `localhost` and names below it (RFC 6761 section 6.3), 127.0.0.0/8 in its usual
/// form, and ::1, in brackets or without. No name is looked up.
[[nodiscard]] bool is_loopback(std::string_view host);

/// The names that Docker Hub's registry goes by: first the host that answers for it, and last what
/// people and files call it.
inline constexpr std::string_view kDockerHubNames[] = {"registry-1.docker.io", "index.docker.io",
                                                       "docker.io"};

/// Whether `registry` is one of them; letters have no case.
[[nodiscard]] bool is_docker_hub(std::string_view registry);

/// The host that answers for `registry`: its own name, but for Docker Hub.
[[nodiscard]] std::string_view registry_host(std::string_view registry);

/// A decimal number from 1 to 65535.
[[nodiscard]] bool is_port(std::string_view text) noexcept;

}  // namespace pyro
