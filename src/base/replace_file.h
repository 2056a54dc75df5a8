// A file whose content changes in one step.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

namespace pyro {

/// Makes `content` the content of the file at `path`, which need not be there: at every moment it
/// holds the old or the new, complete, and after returning the new stands on disk. `mode` as for
/// open(2), the umask counts; root leaves it to its owner. Only a file is replaced. The
/// caller keeps others from replacing the same file meanwhile.
/// @throws Error(filesystem), and nothing has changed.
void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode);

}  // namespace pyro
