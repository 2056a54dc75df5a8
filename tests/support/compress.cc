// Compresses bytes for tests, in every format that an archive or a layer may come in.
#include "support/compress.h"

#include <archive.h>
#include <archive_entry.h>
#include <zstd.h>

#include <memory>
#include <stdexcept>

#include "support/hash.h"

namespace pyro::testing {
namespace {

struct ArchiveDeleter {
  void operator()(archive* writer) const { archive_write_free(writer); }
  void operator()(archive_entry* entry) const { archive_entry_free(entry); }
};
using ArchiveWriter = std::unique_ptr<archive, ArchiveDeleter>;
using ArchiveEntry = std::unique_ptr<archive_entry, ArchiveDeleter>;

void require(archive* writer, int result) {
  if (result < ARCHIVE_WARN) {
    throw std::runtime_error(std::string("libarchive: ") + archive_error_string(writer));
  }
}

la_ssize_t append(archive*, void* into, const void* bytes, std::size_t size) {
  static_cast<std::string*>(into)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

void add_filter(archive* writer, Compression compression) {
  switch (compression) {
    case Compression::none:
      require(writer, archive_write_add_filter_none(writer));
      return;
    case Compression::gzip:
      require(writer, archive_write_add_filter_gzip(writer));
      // Without this the time of day goes into the bytes, and so into the digests.
      require(writer, archive_write_set_filter_option(writer, "gzip", "timestamp", nullptr));
      return;
    case Compression::zstd:
      require(writer, archive_write_add_filter_zstd(writer));
      return;
    case Compression::xz:
      require(writer, archive_write_add_filter_xz(writer));
      return;
    case Compression::bzip2:
      require(writer, archive_write_add_filter_bzip2(writer));
      return;
  }
}

void require_zstd(std::size_t result) {
  if (ZSTD_isError(result) != 0) throw std::runtime_error(ZSTD_getErrorName(result));
}

// Flushes once before the end: a frame that is begun and ended in one call would know its content
// size, and shrink its window to it.
void compress_unknown_size(ZSTD_CCtx* context, ZSTD_outBuffer& out, ZSTD_inBuffer& in) {
  std::size_t left = 0;
  for (const auto mode : {ZSTD_e_flush, ZSTD_e_end}) {
    do {
      left = ZSTD_compressStream2(context, &out, &in, mode);
      require_zstd(left);
    } while (left != 0);
  }
}

constexpr std::size_t kGzipHeader = 10;

std::string two_bytes(std::size_t number) {
  return {static_cast<char>(number & 0xff), static_cast<char>(number >> 8 & 0xff)};
}

}  // namespace

std::string compress(std::string_view bytes, Compression compression, int level) {
  std::string result;
  const ArchiveWriter writer(archive_write_new());
  require(writer.get(), archive_write_set_format_raw(writer.get()));
  add_filter(writer.get(), compression);
  if (compression != Compression::none) {
    require(writer.get(),
            archive_write_set_filter_option(writer.get(), nullptr, "compression-level",
                                            std::to_string(level).c_str()));
  }
  archive_write_set_bytes_in_last_block(writer.get(), 1);  // no padding
  require(writer.get(), archive_write_open(writer.get(), &result, nullptr, append, nullptr));
  const ArchiveEntry entry(archive_entry_new());
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_size(entry.get(), static_cast<la_int64_t>(bytes.size()));
  require(writer.get(), archive_write_header(writer.get(), entry.get()));
  if (archive_write_data(writer.get(), bytes.data(), bytes.size()) < 0) {
    require(writer.get(), ARCHIVE_FATAL);
  }
  require(writer.get(), archive_write_close(writer.get()));
  return result;
}

std::string gzip_with_fields(std::string_view bytes, const GzipFields& fields) {
  const std::string plain = compress(bytes, Compression::gzip);
  std::string header = plain.substr(0, kGzipHeader);
  header[3] = static_cast<char>((fields.checksum ? 2 : 0) | (fields.extra ? 4 : 0) |
                                (fields.name ? 8 : 0) | (fields.comment ? 16 : 0));
  if (fields.extra) header += two_bytes(fields.extra->size()) + *fields.extra;
  if (fields.name) header += *fields.name + '\0';
  if (fields.comment) header += *fields.comment + '\0';
  if (fields.checksum) header += two_bytes(crc32(header));
  return header + plain.substr(kGzipHeader);
}

std::string zstd_with_window(std::string_view bytes, int window_log) {
  const std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> context(ZSTD_createCCtx(),
                                                                     ZSTD_freeCCtx);
  require_zstd(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, 1));
  require_zstd(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_windowLog, window_log));
  require_zstd(ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1));
  std::string result(ZSTD_compressBound(bytes.size()) + 1024, '\0');
  ZSTD_outBuffer out{result.data(), result.size(), 0};
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  compress_unknown_size(context.get(), out, in);
  result.resize(out.pos);
  return result;
}

std::string zstd_frame(const std::string& blocks, char descriptor) {
  return "\x28\xb5\x2f\xfd" + std::string(1, descriptor) + "\x50" + blocks;
}

std::string zstd_block(unsigned type, std::size_t size, const std::string& content, bool last) {
  const std::size_t bits = size << 3 | type << 1 | (last ? 1U : 0U);
  std::string block;
  for (int shift = 0; shift < 24; shift += 8) block += static_cast<char>(bits >> shift);
  return block + content;
}

std::string zstd_skippable_frame(std::size_t content_size) {
  std::string frame("\x50\x2a\x4d\x18", 4);
  for (int shift = 0; shift < 32; shift += 8) frame += static_cast<char>(content_size >> shift);
  return frame + std::string(content_size, 's');
}

std::string file_suffix(Compression compression) {
  switch (compression) {
    case Compression::none:
      return "";
    case Compression::gzip:
      return ".gz";
    case Compression::zstd:
      return ".zst";
    case Compression::xz:
      return ".xz";
    case Compression::bzip2:
      return ".bz2";
  }
  return "";
}

}  // namespace pyro::testing
