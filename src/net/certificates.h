// Certificates out of files: whom to trust beside the system's authorities, and what to show.
//
// Source: containers-certs.d(5); Docker's "Verify repository client with certificates".
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "net/url.h"

namespace pyro {

/// The text of a PEM file that has to hold one certificate or more.
/// @throws Error(failed) naming a file that cannot be read, or has none.
[[nodiscard]] std::string read_certificates(const std::filesystem::path& file);

/// What files say of one host.
struct HostCertificates {
  /// Authorities to trust as well: certificates in PEM, one after the other; mostly empty.
  std::string authorities;
  /// What to show when asked who one is: both or none.
  std::optional<std::filesystem::path> client_certificate = {};
  std::optional<std::filesystem::path> client_key = {};
  /// Directories that this user may not look into, so that they may hold more.
  std::vector<std::filesystem::path> closed = {};
};

/// From the directory named as the host of `url` ("registry.example:5000"; without the port where
/// that is the scheme's own, or with it; Docker Hub's also "docker.io") in each of `directories`:
/// all *.crt, and the first pair of NAME.cert and NAME.key. Hidden files and others are passed
/// over, and so is a directory that may not be looked into: /etc/docker is root's alone on many
/// machines.
/// @throws Error(failed) for a certificate without its key, a key without its certificate, and
/// files that cannot be read.
[[nodiscard]] HostCertificates find_host_certificates(
    const std::vector<std::filesystem::path>& directories, const Url& url);

}  // namespace pyro
