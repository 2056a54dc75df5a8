// The fields of one JSON object, checked for type and grammar.
#include "catalog/field_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "catalog/suggest.h"
#include "pyro/error.h"

namespace pyro {
namespace {

std::string found(std::string_view expected, const nlohmann::json& value) {
  return "expected " + std::string(expected) + ", found " + value.type_name();
}

}  // namespace

FieldReader::FieldReader(const nlohmann::json& object, std::string where)
    : object_(object), where_(std::move(where)) {
  if (object_.is_object()) return;
  throw Error(ErrorCode::failed,
              where_ + (where_.empty() ? "" : ": ") + found("an object", object_));
}

void FieldReader::fail(std::string_view name, std::string_view complaint, std::string hint) const {
  std::string message = where_;
  if (!where_.empty()) message += ": ";
  message.append("field '").append(name).append("': ").append(complaint);
  throw Error(ErrorCode::failed, std::move(message), std::move(hint));
}

const nlohmann::json* FieldReader::find(std::string_view name) const {
  const auto field = object_.find(name);
  return field == object_.end() ? nullptr : &*field;
}

std::string FieldReader::text_of(std::string_view name, const nlohmann::json& value) const {
  if (!value.is_string()) fail(name, found("a string", value));
  return value.get<std::string>();
}

void FieldReader::hold_against(std::string_view name, const std::string& text,
                               const Grammar& grammar) const {
  if (grammar.holds(text)) return;
  fail(name, "'" + text + "' is not " + std::string(grammar.expected));
}

std::string FieldReader::required(std::string_view name) const {
  const nlohmann::json* const value = find(name);
  if (value == nullptr) fail(name, "is missing");
  return text_of(name, *value);
}

std::string FieldReader::required(std::string_view name, const Grammar& grammar) const {
  std::string text = required(name);
  hold_against(name, text, grammar);
  return text;
}

std::optional<std::string> FieldReader::optional(std::string_view name) const {
  const nlohmann::json* const value = find(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  return text_of(name, *value);
}

std::optional<std::string> FieldReader::optional(std::string_view name,
                                                 const Grammar& grammar) const {
  auto text = optional(name);
  if (text) hold_against(name, *text, grammar);
  return text;
}

std::vector<std::string> FieldReader::required_list(std::string_view name) const {
  const nlohmann::json* const list = find(name);
  if (list == nullptr) fail(name, "is missing");
  if (!list->is_array()) fail(name, found("an array of strings", *list));
  std::vector<std::string> texts;
  for (const nlohmann::json& item : *list) {
    if (!item.is_string()) fail(name, found("an array of strings", item) + " in it");
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::optional<Digest> FieldReader::optional_digest(std::string_view name) const {
  const auto text = optional(name);
  if (!text) return std::nullopt;
  const auto digest = Digest::parse(*text);
  if (!digest) fail(name, "'" + *text + "' is not 'sha256:' and 64 lower-case hexadecimal digits");
  return digest;
}

std::optional<Digest> FieldReader::optional_checksum(std::string_view name) const {
  const auto text = optional(name);
  if (!text) return std::nullopt;
  const auto digest =
      text->starts_with("sha256:") ? Digest::parse(*text) : Digest::parse_hex(*text);
  if (!digest) fail(name, "'" + *text + "' is not 64 lower-case hexadecimal digits");
  return digest;
}

void FieldReader::refuse_unknown(std::span<const std::string_view> known) const {
  for (const auto& [name, value] : object_.items()) {
    if (std::ranges::find(known, name) != known.end()) continue;
    const auto suggestion = closest(name, known);
    fail(name, "is not known",
         suggestion ? "did you mean '" + std::string(*suggestion) + "'?" : std::string());
  }
}

}  // namespace pyro
