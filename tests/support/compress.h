// Compresses bytes for tests, in every format that an archive or a layer may come in.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pyro::testing {

enum class Compression { none, gzip, zstd, xz, bzip2 };

/// The same bytes in, the same bytes out. Several gzip members or zstd frames one after the other
/// are made by calling this several times.
std::string compress(std::string_view bytes, Compression compression, int level = 1);

/// The fields of a gzip member's header that need not be there (RFC 1952 section 2.3.1).
struct GzipFields {
  std::optional<std::string> extra = {};
  std::optional<std::string> name = {};
  std::optional<std::string> comment = {};
  bool checksum = false;
};

/// One gzip member with such fields.
std::string gzip_with_fields(std::string_view bytes, const GzipFields& fields);

/// A zstd frame that declares a window of 2^window_log bytes and no content size.
std::string zstd_with_window(std::string_view bytes, int window_log);

/// By hand: four bytes of magic, a descriptor, a window of 1 MiB, and blocks as given.
std::string zstd_frame(const std::string& blocks, char descriptor = '\0');
/// A header that says so, and the content.
std::string zstd_block(unsigned type, std::size_t size, const std::string& content, bool last);

/// A zstd frame that decoders pass over.
std::string zstd_skippable_frame(std::size_t content_size);

/// "", ".gz", ".zst", ".xz", ".bz2".
std::string file_suffix(Compression compression);

}  // namespace pyro::testing
