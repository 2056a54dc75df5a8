// SHA-256, base64 and random bytes for tests, independent of pyro's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pyro::testing {

/// The 32 raw bytes.
std::string sha256(std::string_view bytes);

/// "sha256:" and 64 hex digits, as OCI writes it.
std::string sha256_digest(std::string_view bytes);

/// As gzip, xz and zip have it.
std::uint32_t crc32(std::string_view bytes);

std::string hex(std::string_view bytes);

std::string base64(std::string_view bytes);
/// The URL-safe alphabet without padding, as in JSON web tokens.
std::string base64url(std::string_view bytes);
/// Accepts the standard alphabet with padding; throws std::invalid_argument on anything else.
std::string base64_decode(std::string_view text);

/// Incompressible bytes, the same ones for the same seed on every machine.
std::string noise(std::size_t size, std::uint64_t seed = 1);

}  // namespace pyro::testing
