// Archives of `docker save`: the result of reading any input is a valid layout, with layers within
// the archive.
#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <variant>

#include "base/files.h"
#include "base/hash.h"
#include "oci/layout_files.h"
#include "oci/manifest.h"
#include "oracle.h"

namespace pyro::fuzz {
namespace {

std::string text_of(const LayoutFiles& files, const std::string& name) {
  const auto file = files.open(name);
  require(file.has_value(), "what it lists is there");
  std::string text(file->size, '\0');
  const auto bytes = std::as_writable_bytes(std::span(text));
  require(pread_full(file->file, bytes, file->offset, name) == text.size(), "it has its size");
  return text;
}

std::string name_of(const Descriptor& descriptor) {
  return "blobs/sha256/" + descriptor.digest.hex();
}

void check_image(const LayoutFiles& files, const Descriptor& image, std::size_t archive_size) {
  const std::string text = text_of(files, name_of(image));
  require(sha256(text) == image.digest, "a manifest has its digest");
  std::optional<Manifest> manifest;
  // One may have no layers, or too many.
  if (!accepts(ErrorCode::integrity,
               [&] { manifest = std::get<Manifest>(parse_manifest(text, {})); })) {
    return;
  }
  require(sha256(text_of(files, name_of(*manifest->config))) == manifest->config->digest,
          "a config has its digest");
  for (const Descriptor& layer : manifest->layers) {
    const auto file = files.open(name_of(layer));
    require(file && file->offset <= archive_size && file->size <= archive_size - file->offset,
            "layers lie within it");
  }
}

}  // namespace
}  // namespace pyro::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace pyro;
  using namespace pyro::fuzz;
  Fd file = make_memory_file("a tar");
  pwrite_all(file.get(), std::as_bytes(std::span(data, size)), 0, "a tar");
  std::optional<DockerArchive> archive;
  if (!accepts(ErrorCode::integrity, [&] {
        TarIndex index(file.get(), "x.tar");
        archive.emplace(std::move(file), std::move(index), "x.tar");
      })) {
    return 0;
  }
  Index index;
  // There may be too many.
  if (!accepts(ErrorCode::integrity, [&] {
        index = std::get<Index>(parse_manifest(text_of(*archive, "index.json"), {}));
      })) {
    return 0;
  }
  for (const Descriptor& image : index.manifests) check_image(*archive, image, size);
  return 0;
}
