// The name of an archive's member, brought into one form or refused. It is compared, never opened.
#pragma once

#include <string>
#include <string_view>

namespace pyro {

/// "./a//b/" becomes "a/b"; the archive's top is "".
/// @throws Error(integrity) for an absolute name and for one with a ".." component.
[[nodiscard]] std::string normal_member_path(std::string_view name);

/// A name as messages show it: one of megabytes is an attack on the reader.
[[nodiscard]] std::string in_quotes(std::string_view name);

/// Takes the first component off `path`, and the slash behind it.
[[nodiscard]] std::string_view take_component(std::string_view& path);

/// "a/b" of "a" and "b"; "b" of "" and "b".
[[nodiscard]] std::string joined(std::string_view directory, std::string_view name);

/// "a/b" of "a/b/c"; "" of "c".
[[nodiscard]] std::string_view parent_of(std::string_view path);
/// "c" of "a/b/c".
[[nodiscard]] std::string_view base_name_of(std::string_view path);
/// Whether `path` lies below `directory`; everything lies below "".
[[nodiscard]] bool is_below(std::string_view path, std::string_view directory);
/// The number of folders above it.
[[nodiscard]] std::size_t depth_of(std::string_view path);

}  // namespace pyro
