// The tar of an image layout: entries lie within the archive, and libarchive finds the same ones.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "base/files.h"
#include "oci/layout_files.h"
#include "oracle.h"
#include "stream/tar.h"

namespace pyro::fuzz {
namespace {

using Files = std::map<std::string, std::string>;

/// By libarchive; nothing where it refuses the archive. Of one name the last counts.
std::optional<Files> read_by_libarchive(Bytes archive) {
  Files files;
  const bool sound = accepts(ErrorCode::integrity, [&] {
    TarReader reader(in_pieces(archive, 0));
    while (const auto member = reader.next()) {
      // An entry larger than the archive is sparse, and a layout has no sparse files.
      if (member->type != TarMember::Type::file || member->size > archive.size()) continue;
      std::string& content = files[normal_member_path(member->path)];
      content.assign(member->size, '\0');
      while (const auto data = reader.next_data()) {
        // A sparse map may point beyond the file: the writer of the file checks that.
        if (data->offset + data->bytes.size() > content.size()) continue;
        content.replace(data->offset, data->bytes.size(),
                        reinterpret_cast<const char*>(data->bytes.data()), data->bytes.size());
      }
    }
    reader.finish();
  });
  return sound ? std::optional(std::move(files)) : std::nullopt;
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  using namespace pyro::fuzz;
  const Bytes archive = std::as_bytes(std::span(data, size));
  static const Fd file = make_memory_file("a tar");
  require(::ftruncate(file.get(), 0) == 0, "the file can be emptied");
  pwrite_all(file.get(), archive, 0, "a tar");

  std::optional<TarIndex> index;
  if (!accepts(ErrorCode::integrity, [&] { index.emplace(file.get(), "x.tar"); })) return 0;
  for (const auto& [name, entry] : index->entries()) {
    require(normal_member_path(name) == name, "names are normal");
    require(entry.offset <= size && entry.size <= size - entry.offset, "files lie within it");
  }
  const auto others = read_by_libarchive(archive);
  if (!others) return 0;
  for (const auto& [name, entry] : index->entries()) {
    const auto other = others->find(name);
    if (!entry.regular || other == others->end()) continue;
    const Bytes content = archive.subspan(entry.offset, entry.size);
    require(std::ranges::equal(content, std::as_bytes(std::span(other->second))),
            "a file is what libarchive reads");
  }
  return 0;
}
