// How the extractor is started.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/process_handle.h"

namespace pyro {

/// What the child has open in place of the caller's descriptors: nothing but this, and /dev/null as
/// standard input, output and error.
inline constexpr int kSocketOfChild = 3;

/// By exec, so that it has nothing of the caller's memory, and with next to no environment. All
/// signals are blocked in it but those that tell of a crash.
/// @throws Error(filesystem) when it cannot be started
[[nodiscard]] pid_t start_child(const std::filesystem::path& program,
                                std::vector<std::string> arguments, int socket);

}  // namespace pyro
