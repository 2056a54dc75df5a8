// A compressed archive as one that can be read here and there.
#include "source/unpacked_archive.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/content_kind.h"
#include "pyro/error.h"
#include "sandbox/extraction.h"
#include "stream/extract.h"

namespace pyro {
namespace {

constexpr std::size_t kReadSize = std::size_t{256} << 10;
constexpr std::size_t kMagic = 16;

bool is_compressed(int file, const std::string& path) {
  struct stat status {};
  if (::fstat(file, &status) != 0) throw system_error("cannot look at " + path, errno);
  if (!S_ISREG(status.st_mode)) return false;
  std::vector<std::byte> head(kMagic);
  head.resize(pread_full(file, head, 0, path));
  return begins_as(head, ContentUse::compressed);
}

void write_all_of(int file, const std::string& path, Extraction& extraction,
                  const std::stop_token& stop) {
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReadSize);
  const std::span<std::byte> space(buffer.get(), kReadSize);
  std::size_t n = 0;
  for (std::uint64_t at = 0; (n = pread_full(file, space, at, path)) > 0; at += n) {
    if (stop.stop_requested()) throw Error(ErrorCode::interrupted, "interrupted");
    extraction.write(space.first(n));
  }
}

}  // namespace

Fd unpack_archive(Fd file, const std::filesystem::path& path, const Unpacking& unpacking) {
  if (!is_compressed(file.get(), path.string())) return file;
  unpacking.note("unpacking " + path.string());
  Fd unpacked = unpacking.make_file();
  const Fd nothing = open_at(AT_FDCWD, "/dev/null", O_RDWR, 0, "/dev/null");
  std::vector<int> files(MergedView::kFiles, nothing.get());
  files[kArchiveFile] = unpacked.get();
  Extraction extraction(unpacking.extractor, std::move(files), unpacking.limits, unpacking.note);
  const std::stop_callback give_up(unpacking.stop, [&] { extraction.abort(); });
  extraction.begin_layer("archive " + path.string(), {.shape = LayerForm::Shape::archive});
  write_all_of(file.get(), path.string(), extraction, unpacking.stop);
  extraction.end_layer();
  static_cast<void>(extraction.finish());
  return unpacked;
}

}  // namespace pyro
