// The name of an image in a registry, checked once.
#include "oci/reference.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "net/ascii.h"

namespace pyro {
namespace {

constexpr std::size_t kMaxNameLength = 255;
constexpr std::size_t kMaxTagLength = 128;

/// Whether every part of `text` between `separator`s passes `check`.
template <typename Check>
bool all_parts(std::string_view text, char separator, const Check& check) {
  for (;;) {
    const std::size_t end = text.find(separator);
    if (!check(text.substr(0, end))) return false;
    if (end == std::string_view::npos) return true;
    text.remove_prefix(end + 1);
  }
}

bool is_host_label(std::string_view text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         std::ranges::all_of(text, [](char c) { return is_alnum(c) || c == '-'; });
}

bool is_ipv6(const std::string& text) {
  in6_addr address{};
  return ::inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0;
}

bool is_component_letter(char c) {
  return is_lower(c) || is_digit(c);
}

/// What may stand between letters and digits: ".", "_", "__", or any number of "-".
bool is_component_separator(std::string_view text) {
  return text == "." || text == "_" || text == "__" ||
         std::ranges::all_of(text, [](char c) { return c == '-'; });
}

/// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*, by hand: std::regex recurses on its input.
bool is_path_component(std::string_view text) {
  if (text.empty() || !is_component_letter(text.front()) || !is_component_letter(text.back())) {
    return false;
  }
  while (!text.empty()) {
    const auto letter = std::ranges::find_if(text, is_component_letter);
    if (!is_component_separator({text.begin(), letter})) return false;
    text = {letter, text.end()};
    text = {std::ranges::find_if_not(text, is_component_letter), text.end()};
  }
  return true;
}

}  // namespace

bool is_valid_registry(std::string_view text) {
  if (text.empty() || text.size() > kMaxNameLength) return false;
  const bool bracketed = text.front() == '[';
  const std::size_t end = bracketed ? text.find(']') : std::min(text.find(':'), text.size());
  if (end == std::string_view::npos) return false;
  const std::string_view host = text.substr(bracketed, end - bracketed);
  const std::string_view rest = text.substr(end + bracketed);
  if (!rest.empty() && (rest.front() != ':' || !is_port(rest.substr(1)))) return false;
  return bracketed ? is_ipv6(std::string(host)) : all_parts(host, '.', is_host_label);
}

bool is_valid_repository(std::string_view text) {
  return text.size() <= kMaxNameLength && all_parts(text, '/', is_path_component);
}

bool is_valid_tag(std::string_view text) {
  return !text.empty() && text.size() <= kMaxTagLength && text.front() != '.' &&
         text.front() != '-' && std::ranges::all_of(text, [](char c) {
           return is_alnum(c) || c == '_' || c == '.' || c == '-';
         });
}

std::optional<ImageReference> ImageReference::make(std::string_view registry,
                                                   std::string_view repository,
                                                   std::string_view reference) {
  if (!is_valid_registry(registry) || !is_valid_repository(repository) ||
      registry.size() + 1 + repository.size() > kMaxNameLength) {
    return std::nullopt;
  }
  if (const auto digest = Digest::parse(reference)) {
    return ImageReference(registry, repository, *digest);
  }
  if (!is_valid_tag(reference)) return std::nullopt;
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
