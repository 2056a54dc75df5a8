// A file whose content changes in one step.
#include "base/replace_file.h"

#include "base/files.h"
#include "base/new_file.h"

namespace pyro {

void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  NewFile file(open_directory(parent), path.filename().string(), mode, path.string());
  write_all(file.descriptor(), content, path);
  file.take_over_owner();
  sync_file(file.descriptor(), path);
  file.commit();
  sync_file(file.directory(), parent);
}

}  // namespace pyro
