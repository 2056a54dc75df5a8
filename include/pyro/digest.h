// A SHA-256 digest as the OCI image specification writes it: "sha256:" and 64 hexadecimal digits.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

/// 32 bytes, validated by parse(). Paths and URLs are made from the bytes, never from a server's
/// text.
class Digest {
 public:
  static constexpr std::size_t kSize = 32;
  using Bytes = std::array<std::byte, kSize>;

  explicit Digest(const Bytes& bytes) : bytes_(bytes) {}

  /// Accepts exactly `sha256:` followed by 64 lower-case hexadecimal digits (image-spec,
  /// descriptor.md "Digests"); anything else, other algorithms too, is nothing.
  [[nodiscard]] static std::optional<Digest> parse(std::string_view text);

  /// The same without the algorithm: 64 lower-case hexadecimal digits.
  [[nodiscard]] static std::optional<Digest> parse_hex(std::string_view hex);

  [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::string hex() const;
  /// "sha256:" + hex().
  [[nodiscard]] std::string to_string() const;

  friend auto operator<=>(const Digest&, const Digest&) = default;

 private:
  Bytes bytes_;
};

}  // namespace pyro
