// Names of images: in full, and in three lines of registry, repository, tag or digest.
#include <array>
#include <string>

#include "base/reference.h"
#include "oracle.h"
#include "pyro/error.h"

namespace pyro::fuzz {
namespace {

std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return line;
}

void check_host(std::string_view registry) {
  const HostAndPort parts = split_host_and_port(registry);
  const std::string joined =
      std::string(parts.host) + (parts.has_port ? ":" : "") + std::string(parts.port);
  require(joined == registry, "host and port make up the registry");
  (void)is_loopback(parts.host);
  if (!is_oci_registry(registry)) return;
  require(is_host(parts.host), "a registry has a host");
  require(registry.find_first_of("/@?#\\ ") == registry.npos, "a registry ends before the path");
}

/// Rendering and parsing again gives the same parts.
void check_round_trip(const ImageReference& image) {
  const std::string text = image.to_string();
  const std::size_t slash = text.find('/');
  const std::size_t mark = image.digest() ? text.find('@') : text.rfind(':');
  const auto again = ImageReference::make(
      text.substr(0, slash), text.substr(slash + 1, mark - slash - 1), text.substr(mark + 1));
  require(again.has_value(), "what was made of a reference makes one again");
  require(again->registry() == image.registry() && again->repository() == image.repository() &&
              again->reference() == image.reference(),
          "... the same one");
}

/// URLs of valid parts cannot leave /v2/<repository>/.
void check_path(const ImageReference& image) {
  const std::string path = image.repository() + "/" + image.reference();
  require(path.find("..") == path.npos || image.reference().find("..") != path.npos,
          "no '..' in a repository");
  require(image.reference() != "." && image.reference() != "..", "a tag is no relative path");
  require(path.find("//") == path.npos && !path.starts_with('/'), "no component is empty");
  require(path.find_first_of("%?#\\@ \t\r\n") == path.npos, "nothing that a URL would read");
  require(image.registry().size() + 1 + image.repository().size() <= 255, "names have an end");
}

/// An accepted reference has valid parts, which render to the text again.
void check_full(std::string_view text) {
  FullReference parsed;
  try {
    parsed = FullReference::parse(text);
  } catch (const Error& error) {
    require(error.code() == ErrorCode::usage, "what is no reference is a mistake of its writer");
    return;
  }
  require(is_oci_registry(parsed.registry) && is_oci_repository(parsed.repository) &&
              (!parsed.tag || is_oci_tag(*parsed.tag)),
          "a full reference is made of valid parts");
  std::string joined = parsed.repository;
  if (parsed.tag) joined += ":" + *parsed.tag;
  if (parsed.digest) joined += "@" + parsed.digest->to_string();
  require(text.substr(text.find('/') + 1) == joined, "the parts make up the reference");
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  std::string_view rest = fuzz::as_text(data, size);
  fuzz::check_full(rest);
  const std::string_view registry = fuzz::take_line(rest);
  const std::string_view repository = fuzz::take_line(rest);
  fuzz::check_host(registry);
  const auto image = ImageReference::make(registry, repository, rest);
  if (!image) return 0;
  fuzz::require(
      is_oci_registry(registry) && is_oci_repository(repository) && is_oci_reference(rest),
      "a reference is made of valid parts");
  fuzz::check_round_trip(*image);
  fuzz::check_path(*image);
  return 0;
}
