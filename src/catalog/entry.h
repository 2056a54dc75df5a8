// One entry of a catalog: JSON to an Environment that cannot be wrong, and back.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pyro/catalog.h"
#include "pyro/digest.h"

namespace pyro {

/// A predicate on texts, and its description for messages: "is not <expected>".
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

/// Makes `registry` and `location` of `environment` from its text fields, which are valid each.
/// @returns false when registry and repository together are too long for a reference.
[[nodiscard]] bool parse_sources(Environment& environment);

/// Checks `entry`, number `index` of `file`, field by field.
/// @throws Error(failed) "environment 'debian:12': field 'oci_registry': ..." when the name is
/// good, "environments[0]: field 'name': ..." before that.
[[nodiscard]] Environment read_entry(const nlohmann::json& entry, std::size_t index,
                                     const std::filesystem::path& file);

/// The JSON that read_entry() reads as `environment`. Fields without a value, or with the default
/// one, are left out: there is one platform.
[[nodiscard]] nlohmann::ordered_json write_entry(const Environment& environment);

/// The entry of `environment` as JSON for another machine, which goes along with an export. Of its
/// sources it keeps a registry, and an https archive whose URL has no login and no query: those may
/// be secrets.
///
/// An export is compressed anew, so pins do not hold for it: a pinned image becomes the reference,
/// and a pinned archive is left out.
[[nodiscard]] std::string write_portable_entry(const Environment& environment);

/// Parses an entry of another machine that is to be added to the catalog `file`. Sources that
/// write_portable_entry() leaves out are refused.
/// @throws Error(integrity)
[[nodiscard]] Environment read_portable_entry(std::string_view text,
                                              const std::filesystem::path& file);

}  // namespace pyro
