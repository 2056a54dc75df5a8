// The files of an environment, by name and by content.
#include "stream/artifacts.h"

#include <span>
#include <vector>

#include "base/content_kind.h"
#include "base/files.h"
#include "pyro/error.h"

namespace pyro {
namespace {

[[noreturn]] void refuse(std::size_t kind, std::span<const std::byte> head) {
  const std::string name(kArtifactKinds[kind].name);
  const std::string found(content_name(head));
  const std::string wanted = kind == kKernel ? "no kernel" : "no file system";
  throw Error(ErrorCode::integrity,
              name + " holds " + wanted + (found.empty() ? "" : ": it is " + found),
              kind == kKernel ? "it must be an ELF file or a bzImage"
                              : "it must be a file system itself, not an archive or a disk image");
}

}  // namespace

bool remove_packed_suffix(std::string_view& name) noexcept {
  for (const std::string_view suffix : {".gz", ".zst", ".xz", ".bz2"}) {
    if (!name.ends_with(suffix)) continue;
    name.remove_suffix(suffix.size());
    return true;
  }
  return false;
}

std::optional<std::size_t> packed_artifact_index(std::string_view name) noexcept {
  static_cast<void>(remove_packed_suffix(name));
  return artifact_index(name);
}

bool may_be_packed(std::size_t kind, std::string_view name) noexcept {
  return kind != kInitrd || remove_packed_suffix(name);
}

void require_artifact_content(int file, std::size_t kind) {
  const std::string name(kArtifactKinds.at(kind).name);
  std::vector<std::byte> head(kContentHead);
  head.resize(pread_full(file, head, 0, name));
  if (head.empty()) throw Error(ErrorCode::integrity, name + " is empty");
  if (kind == kKernel && !begins_as(head, ContentUse::kernel)) refuse(kind, head);
  if (kind == kRootfs && !begins_as(head, ContentUse::file_system)) refuse(kind, head);
}

}  // namespace pyro
