// Digests as text.
#include <algorithm>

#include "oracle.h"
#include "pyro/digest.h"

namespace {

bool is_digest(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  return text.size() == kPrefix.size() + 64 && text.starts_with(kPrefix) &&
         std::all_of(text.begin() + kPrefix.size(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using pyro::Digest;
  using pyro::fuzz::require;
  const std::string_view text = pyro::fuzz::as_text(data, size);
  const auto digest = Digest::parse(text);
  require(digest.has_value() == is_digest(text), "one form of digest is taken, and no other");
  if (!digest) return 0;
  require(digest->to_string() == text, "a digest is written as it was read");
  require(Digest::parse_hex(digest->hex()) == digest, "its digits are the same digest");
  return 0;
}
