// WWW-Authenticate, one field a line.
#include <string>

#include "oci/challenge.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') text += '\\';
    text += c;
  }
  return text + '"';
}

std::string field_of(const Challenge& challenge) {
  std::string text = challenge.scheme;
  if (!challenge.token68.empty()) text += " " + challenge.token68;
  const char* separator = challenge.token68.empty() ? " " : ", ";
  for (const auto& [name, value] : challenge.parameters) {
    text += separator + name + "=" + quoted(value);
    separator = ", ";
  }
  return text;
}

bool same(const Challenge& one, const Challenge& other) {
  return one.scheme == other.scheme && one.token68 == other.token68 &&
         one.parameters == other.parameters;
}

/// All of them in one field, as a proxy may join them.
void check_round_trip(const std::vector<Challenge>& challenges) {
  std::string field;
  for (const Challenge& challenge : challenges) {
    field += (field.empty() ? "" : ", ") + field_of(challenge);
  }
  const auto again = parse_challenges({field});
  require(again.size() == challenges.size(), "challenges written out are as many again");
  for (std::size_t i = 0; i < again.size(); ++i) {
    require(same(again[i], challenges[i]), "... and the same");
  }
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  const auto challenges = parse_challenges(fuzz::lines_of(fuzz::as_text(data, size)));
  for (const Challenge& challenge : challenges) {
    fuzz::require(!challenge.scheme.empty(), "a challenge has a scheme");
  }
  fuzz::check_round_trip(challenges);
  return 0;
}
