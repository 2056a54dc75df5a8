// A SHA-256 digest as the OCI image specification writes it: "sha256:" and 64 hexadecimal digits.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pyro {

/// The 32 bytes of a digest. Paths and URLs are made from these bytes, never from the text of a
/// server. Thread-safety: a value.
class Digest {
 public:
  static constexpr std::size_t kSize = 32;
  using Bytes = std::array<std::byte, kSize>;

  explicit Digest(const Bytes& bytes) : bytes_(bytes) {}

  /// Parses `sha256:` followed by 64 lower-case hexadecimal digits (image-spec, descriptor.md
  /// "Digests"). Returns nothing for any other text, also for other algorithms.
  [[nodiscard]] static std::optional<Digest> parse(std::string_view text);

  /// Parses 64 lower-case hexadecimal digits, without the algorithm.
  [[nodiscard]] static std::optional<Digest> parse_hex(std::string_view hex);

  [[nodiscard]] const Bytes& bytes() const noexcept { return bytes_; }
  /// 64 lower-case hexadecimal digits.
  [[nodiscard]] std::string hex() const;
  /// "sha256:" + hex().
  [[nodiscard]] std::string to_string() const;

  friend auto operator<=>(const Digest&, const Digest&) = default;

 private:
  Bytes bytes_;
};

}  // namespace pyro
