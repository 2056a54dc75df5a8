// The names of images: registry, repository, tag and digest, and image layouts in files.
//
// Source: OCI distribution specification, "Pulling manifests", for repository and tag; the registry
// part as github.com/distribution/reference reads it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pyro/digest.h"
#include "pyro/source.h"

namespace pyro {

// Hosts

/// Whether `text` is a bare host as in a URL's authority: a DNS name, an IPv4 address, or an IPv6
/// address in brackets.
[[nodiscard]] bool is_host(std::string_view text) noexcept;

/// A decimal number from 1 to 65535.
[[nodiscard]] bool is_port(std::string_view text) noexcept;

/// `text` split before the colon of a port; the port is empty when there is none. Knows brackets.
struct HostAndPort {
  std::string_view host;
  std::string_view port;
  bool has_port = false;
};
[[nodiscard]] HostAndPort split_host_and_port(std::string_view text) noexcept;

/// This machine: `localhost` and names below it (RFC 6761 section 6.3), 127.0.0.0/8 in its usual
/// form, and ::1, with brackets or without. No name is looked up.
[[nodiscard]] bool is_loopback(std::string_view host);

// Parts of a reference

/// `host`, `host:port`, `127.0.0.1:5000`, `[::1]:5000`; no scheme, no path.
[[nodiscard]] bool is_oci_registry(std::string_view text) noexcept;

/// "team/environment": lower-case components of letters and digits, joined by '.', '_', '__' or
/// dashes, at most 255 characters.
[[nodiscard]] bool is_oci_repository(std::string_view text) noexcept;

/// `[A-Za-z0-9_][A-Za-z0-9._-]{0,127}`
[[nodiscard]] bool is_oci_tag(std::string_view text) noexcept;

/// A tag, or a digest as Digest::parse() takes it.
[[nodiscard]] bool is_oci_reference(std::string_view text) noexcept;

/// The names of Docker Hub's registry: first the host that answers, last the name that people and
/// files use.
inline constexpr std::string_view kDockerHubNames[] = {"registry-1.docker.io", "index.docker.io",
                                                       "docker.io"};

/// Whether `registry` is one of them, in any case.
[[nodiscard]] bool is_docker_hub(std::string_view registry);

/// The host that answers for `registry`: its own name, except for Docker Hub.
[[nodiscard]] std::string_view registry_host(std::string_view registry);

// References

/// A reference as people write it, in full: HOST[:PORT]/REPOSITORY[:TAG][@DIGEST].
struct FullReference {
  std::string registry;
  std::string repository;
  std::optional<std::string> tag = {};
  std::optional<Digest> digest = {};

  /// Completes nothing; all names of Docker Hub become the host that answers.
  /// @throws Error(usage) that names the wrong part, with the full form of a short name as a hint.
  /// Parts that may be a password are not shown.
  [[nodiscard]] static FullReference parse(std::string_view text);
};

// URLs of sources

/// "oci:DIR[:TAG]", "oci-archive:FILE[:TAG]" and "docker-archive:FILE[:NAME:TAG]", as in
/// containers-transports(5): the path ends at its first colon.
struct LayoutUrl {
  std::string_view scheme;  ///< As written: "oci".
  std::string_view path;
  std::string_view tag;  ///< Empty when there is none.
};
/// Nothing for another scheme.
[[nodiscard]] std::optional<LayoutUrl> split_layout_url(std::string_view text);

/// The part behind the '#' of an https, http or file URL; nothing for others, and for paths, where
/// '#' is an ordinary character.
[[nodiscard]] std::optional<std::string_view> fragment_of(std::string_view url);

/// The scheme in lower case (RFC 3986 section 3.1); empty for a path.
[[nodiscard]] std::string scheme_of(std::string_view url);

/// Parses a URL without a fragment, or a path. `pin` is of an image, `sha256` of an archive.
[[nodiscard]] Location parse_location(const std::string& url, const std::optional<Digest>& pin,
                                      const std::optional<Digest>& sha256);

}  // namespace pyro
