// The name of an image in a registry, checked once.
#include "oci/reference.h"

#include "base/oci_names.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxNameLength = 255;

}  // namespace

std::optional<ImageReference> ImageReference::make(std::string_view registry,
                                                   std::string_view repository,
                                                   std::string_view reference) {
  registry = registry_host(registry);
  if (!is_oci_registry(registry) || !is_oci_repository(repository) ||
      registry.size() + 1 + repository.size() > kMaxNameLength) {
    return std::nullopt;
  }
  if (const auto digest = Digest::parse(reference)) {
    return ImageReference(registry, repository, *digest);
  }
  if (!is_oci_tag(reference)) return std::nullopt;
  return ImageReference(registry, repository, std::string(reference));
}

std::optional<Digest> ImageReference::digest() const {
  const Digest* const digest = std::get_if<Digest>(&reference_);
  return digest == nullptr ? std::nullopt : std::optional(*digest);
}

std::string ImageReference::reference() const {
  const auto fixed = digest();
  return fixed ? fixed->to_string() : std::get<std::string>(reference_);
}

std::string ImageReference::to_string() const {
  return registry_ + "/" + repository_ + (digest() ? "@" : ":") + reference();
}

}  // namespace pyro
