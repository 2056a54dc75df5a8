// Environment variables, and the places that they name.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace pyro::cli {

/// The value of an environment variable; nothing when it is unset or empty.
using Variables = std::function<std::optional<std::string>(const char* name)>;

/// Those of this process.
[[nodiscard]] std::optional<std::string> process_variable(const char* name);

/// One that holds a path; a relative one counts as unset.
[[nodiscard]] std::optional<std::filesystem::path> absolute_variable(const Variables& variables,
                                                                     const char* name);

/// A directory of the XDG base directory specification, which has relative values ignored.
[[nodiscard]] std::optional<std::filesystem::path> base_directory(const Variables& variables,
                                                                  const char* name,
                                                                  const char* below_home);

/// "A:B" as two paths behind those in `paths`; empty ones are left out.
void append_colon_separated(std::vector<std::filesystem::path>& paths, std::string_view list);

/// Sorted; as a shell's *.json: without hidden files, which editors leave behind.
[[nodiscard]] std::vector<std::filesystem::path> files_in(const std::filesystem::path& directory,
                                                          const char* extension,
                                                          std::error_code& error);

/// @throws Error(usage) "PYRO_RETRIES: 'x' is not <expected>"
[[noreturn]] void refuse_variable(const char* name, const std::string& value, const char* expected);

}  // namespace pyro::cli
