// The fields of one JSON object, checked for type and grammar, with errors that name them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/digest.h"

namespace pyro {

/// What a text must be, and how to say so: "is not <expected>".
struct Grammar {
  bool (*holds)(std::string_view text);
  std::string_view expected;
};

/// Reads from `object`, which must outlive it. Every error is Error(failed)
/// "<where>: field '<name>': <complaint>". An optional field that is null counts as absent.
class FieldReader {
 public:
  /// @throws when `object` is not an object.
  FieldReader(const nlohmann::json& object, std::string where);

  [[nodiscard]] std::string required(std::string_view name) const;
  [[nodiscard]] std::string required(std::string_view name, const Grammar& grammar) const;
  [[nodiscard]] std::optional<std::string> optional(std::string_view name) const;
  [[nodiscard]] std::optional<std::string> optional(std::string_view name,
                                                    const Grammar& grammar) const;
  [[nodiscard]] std::vector<std::string> required_list(std::string_view name) const;

  /// "sha256:" and 64 digits.
  [[nodiscard]] std::optional<Digest> optional_digest(std::string_view name) const;
  /// The same with or without "sha256:", as sha256sum prints it.
  [[nodiscard]] std::optional<Digest> optional_checksum(std::string_view name) const;

  /// A field that is not in `known` is an error with a did-you-mean: a mistyped pin must not be
  /// dropped in silence.
  void refuse_unknown(std::span<const std::string_view> known) const;

  [[noreturn]] void fail(std::string_view name, std::string_view complaint,
                         std::string hint = {}) const;

 private:
  [[nodiscard]] const nlohmann::json* find(std::string_view name) const;
  [[nodiscard]] std::string text_of(std::string_view name, const nlohmann::json& value) const;
  void hold_against(std::string_view name, const std::string& text, const Grammar& grammar) const;

  const nlohmann::json& object_;
  std::string where_;
};

}  // namespace pyro
