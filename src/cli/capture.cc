// What a command says, kept in memory for one JSON document.
#include "cli/capture.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

#include "base/text.h"
#include "cli/printable.h"

namespace pyro::cli {
namespace {

/// The longest character of UTF-8 but its last byte.
constexpr std::size_t kMostOfACharacter = 3;

}  // namespace

void Capture::add_to(Json& document, const std::string& key) const {
  const auto size =
      static_cast<std::uint64_t>(std::max<off_t>(::lseek(descriptor(), 0, SEEK_END), 0));
  std::string bytes(std::min(size, kMost), '\0');
  bytes.resize(pread_full(descriptor(), std::as_writable_bytes(std::span(bytes)), 0, key));
  const std::size_t text = utf8_prefix(bytes);
  if (size > kMost) {
    document[key + "_truncated"] = true;
    // The end may have come in the middle of a character.
    if (bytes.size() - text <= kMostOfACharacter) bytes.resize(text);
  }
  if (text == bytes.size())
    document[key] = std::move(bytes);
  else
    document[key + "_base64"] = base64_encode(bytes);
}

}  // namespace pyro::cli
