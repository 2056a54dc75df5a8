// SHA-256 by OpenSSL, reusable without another allocation.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "pyro/digest.h"

namespace pyro {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);

  /// One that has seen the same bytes.
  [[nodiscard]] Sha256 copy() const;

  /// The digest of all bytes since the start or the last finish(); begins anew.
  [[nodiscard]] Digest finish();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

[[nodiscard]] Digest sha256(std::span<const std::byte> bytes);
[[nodiscard]] Digest sha256(std::string_view text);

}  // namespace pyro
